import type { ExportedManifest } from '@rondo/bundle';
import { RondoError } from '@rondo/core';
import type { ConvertOptions } from './convert.ts';
import { type LoopPlan, range } from './loop-plan.ts';
import type { ModelSpec } from './model-spec.ts';

/** Options that say how to loop a model, which an exported one is already. */
const LOOP_FLAGS = {
  loops: '--loops',
  loopLayers: '--loop-layers',
  damping: '--loop-damping',
  init: '--init',
  initNorms: '--init-norms',
  initSeed: '--init-seed',
  keepFirst: '--keep-first',
  keepLast: '--keep-last',
  norms: '--norms',
} as const;

/**
 * The options for an exported directory: what is not given is as it was in the bundle, so that it comes out again.
 * @throws RondoError CONFIG_INVALID for an option that says how to loop it.
 */
export function withExported<Options extends ConvertOptions>(options: Options): Options {
  const { checkpoint, precision } = options;
  if (!checkpoint.exported) return options;
  const { manifest, factorsOf } = checkpoint.exported;
  for (const [name, flag] of Object.entries(LOOP_FLAGS)) {
    if (options[name as keyof typeof LOOP_FLAGS] === undefined) continue;
    throw new RondoError(
      'CONFIG_INVALID',
      `${flag}: ${checkpoint.path} is looped already, as its rondo.json says; convert the checkpoint that it came from instead`,
    );
  }
  const { policy, threshold, minDepth } = manifest.exit;
  const { targets, method } = manifest.adapters ?? {};
  const same = precision === manifest.precision;
  return {
    ...options,
    name: options.name ?? manifest.name,
    exit: options.exit ?? { policy, threshold, minDepth },
    kvPolicy: options.kvPolicy ?? manifest.kvPolicy,
    pagePositions: options.pagePositions ?? manifest.pagePositions,
    ...(factorsOf &&
      targets && { adapters: options.adapters ?? { targets, factorsOf, ...(same && { method }) } }),
  };
}

/** Its layers are written as they are looped: prelude, block, coda. */
export function exportedPlan(model: ModelSpec, { layers, maxDepth, loop }: ExportedManifest): LoopPlan {
  const [blockStart, codaStart] = [layers.prelude, layers.prelude + layers.block];
  return {
    prelude: range(0, blockStart),
    block: range(blockStart, codaStart),
    coda: range(codaStart, codaStart + layers.coda),
    maxDepth,
    damping: loop.damping,
    normAfterPass: model.loop?.normAfterPass === true,
  };
}

import type { Manifest, Stack } from '@rondo/bundle';
import { LIMITS, RondoError } from '@rondo/core';
import type { AdapterWeights } from './adapters-weights.ts';
import type { ConvertOptions } from './convert.ts';
import { type LoopPlan, sourceLayer } from './loop-plan.ts';
import { MODEL_FILE } from './model-file.ts';
import type { TiedLayers } from './tied-layers.ts';

export type ExitDefaults = Pick<Manifest['exit'], 'policy' | 'threshold' | 'minDepth'>;

/** Names of a stack's segments; none for a stack without layers. */
export const segmentNames = (plan: LoopPlan, stack: Stack): string[] =>
  plan[stack].length === 0 ? [] : [...plan[stack], 'end'].map((_, index) => `${stack}.${index}.onnx`);

/** What bundle.json says of a bundle beside its files. */
export function describeBundle(
  options: ConvertOptions,
  plan: LoopPlan,
  normsPerDepth: boolean,
  headCandidates: number,
  adapters: AdapterWeights | undefined,
): Omit<Manifest, 'files'> {
  const { checkpoint, precision } = options;
  const { model, tokenizerFiles } = checkpoint;
  const exported = checkpoint.exported?.manifest;
  const energy = options.lora?.energy ?? exported?.adapters?.energy;
  const named = (file: string) => (tokenizerFiles.has(file) ? file : undefined);
  const [config, chatTemplate] = [named('tokenizer_config.json'), named('chat_template.jinja')];
  const gated = model.loop?.gate === true;
  return {
    schemaVersion: 2,
    name: options.name ?? checkpoint.name,
    source: exported?.source ?? {
      checkpoint: checkpoint.name,
      architecture: model.architecture,
      licence: checkpoint.licence,
    },
    ...(exported?.examples && { examples: exported.examples }),
    shape: {
      hidden: model.hidden,
      heads: model.heads,
      kvHeads: model.kvHeads,
      headDim: model.headDim,
      vocab: model.vocab,
      context: model.context,
    },
    layers: { prelude: plan.prelude.length, block: plan.block.length, coda: plan.coda.length },
    maxDepth: plan.maxDepth,
    loop: exported?.loop ?? {
      first: sourceLayer(plan, plan.block[0]!, 0),
      last: sourceLayer(plan, plan.block.at(-1)!, plan.maxDepth - 1),
      damping: plan.damping,
    },
    ...(exported?.tied && { tied: exported.tied }),
    ...(plan.tied && {
      tied: { ...describeTied(plan.tied), norms: normsPerDepth ? 'per-depth' : 'shared' } as const,
    }),
    exit: { ...exitDefaults(options), signals: gated ? ['gate', 'latent-diff'] : ['latent-diff'] },
    kvPolicy: options.kvPolicy ?? 'last-exited',
    precision,
    ...(adapters && {
      adapters: {
        rank: Math.max(...adapters.matrices.map(({ rank }) => rank)),
        targets: [...adapters.targets],
        method: adapters.method,
        ...(energy !== undefined && { energy, ranks: ranksOf(adapters, plan) }),
      },
    }),
    pagePositions: options.pagePositions ?? LIMITS.pagePositions,
    headCandidates,
    tokens: { ...(model.bos !== undefined && { bos: model.bos }), eos: [...model.eos] },
    graphs: {
      prelude: 'prelude.onnx',
      block: 'block.onnx',
      ...(!adapters && !normsPerDepth && { propagate: 'propagate.onnx' }),
      kvStore: 'kv-store.onnx',
      kvCopy: 'kv-copy.onnx',
      ...(plan.coda.length > 0 && { coda: 'coda.onnx' }),
      head: 'head.onnx',
    },
    segments: {
      prelude: segmentNames(plan, 'prelude'),
      block: segmentNames(plan, 'block'),
      coda: segmentNames(plan, 'coda'),
    },
    model: MODEL_FILE,
    rope: { ...model.rope, inverseFrequencies: [...model.rope.inverseFrequencies] },
    ...(tokenizerFiles.has('tokenizer.json') && {
      tokenizer: {
        tokenizer: 'tokenizer.json',
        ...(config && { config }),
        ...(chatTemplate && { chatTemplate }),
      },
    }),
  };
}

/** [layer of the block][depth] by target. */
function ranksOf({ matrices, targets }: AdapterWeights, { block }: LoopPlan): Record<string, number[][]> {
  const ranks = targets.map((target): [string, number[][]] => [target, block.map(() => [])]);
  for (const { layer, depth, target, rank } of matrices) {
    ranks.find(([name]) => name === target)![1][block.indexOf(layer)]![depth] = rank;
  }
  return Object.fromEntries(ranks);
}

const describeTied = ({ init, initNorms, initSeed, kept }: TiedLayers) => ({
  init,
  ...(init === 'average' && { initNorms }),
  ...(init === 'random' && { initSeed }),
  ...(kept && { kept: [...kept] }),
});

/** @throws RondoError CONFIG_INVALID for a signal that the model does not have. */
function exitDefaults({ checkpoint, exit }: ConvertOptions): ExitDefaults {
  const gated = checkpoint.model.loop?.gate === true;
  if (exit?.policy === 'gate' && !gated) {
    throw new RondoError('CONFIG_INVALID', `--exit-policy gate: ${checkpoint.name} has no exit gate`);
  }
  if (exit) return exit;
  // A gate threshold of 1 never lets a row leave early: Ouro's published default.
  const threshold = checkpoint.model.loop?.exitThreshold ?? 1;
  return { policy: gated && threshold < 1 ? 'gate' : 'none', threshold, minDepth: 1 };
}

import { LIMITS, RondoError } from '@rondo/core';
import type { ModelSpec } from './model-spec.ts';
import { type TiedLayers, type TieOptions, tieLayers } from './tied-layers.ts';

/** A run of layers with K and V of their own. */

/**
 * Which layers lie before, inside and after the loop, and how often the block is applied. Layers are numbered as they are
 * written: as in the source, or, where the plan ties some, as in `TiedCheckpoint`.
 */
export interface LoopPlan {
  readonly prelude: readonly number[];
  readonly block: readonly number[];
  readonly coda: readonly number[];
  readonly maxDepth: number;
  /** α in h ← h + α·(block(h) − h); 1 is plain repetition. */
  readonly damping: number;
  /** The final norm follows every pass and its output feeds the next one (Ouro). */
  readonly normAfterPass: boolean;
  /** Present where each layer of the block stands for several of the source. */
  readonly tied?: TiedLayers;
}

export interface LoopOptions extends TieOptions {
  readonly loops?: number | undefined;
  /** 0-based, inclusive: repeated as they are. */
  readonly loopLayers?: { readonly first: number; readonly last: number } | undefined;
  readonly damping?: number | undefined;
}

export const range = (first: number, end: number): number[] =>
  Array.from({ length: Math.max(0, end - first) }, (_, index) => first + index);

/** @throws RondoError CONFIG_INVALID naming the option, its value and what the checkpoint allows. */
export function planLoop(model: ModelSpec, options: LoopOptions): LoopPlan {
  const loops = options.loops ?? model.loop?.passes ?? 1;
  const { damping = 1 } = options;
  if (!Number.isInteger(loops) || loops < 1) {
    throw new RondoError('CONFIG_INVALID', `--loops ${loops}: must be a whole number from 1`);
  }
  if (loops > LIMITS.passesMax) {
    throw new RondoError(
      'CONFIG_INVALID',
      `--loops ${loops}: a model has at most ${LIMITS.passesMax} passes (passesMax); choose fewer`,
    );
  }
  if (!Number.isFinite(damping) || damping <= 0 || damping > 1) {
    throw new RondoError(
      'CONFIG_INVALID',
      `--loop-damping ${damping}: must lie in (0, 1]; 1 is plain repetition`,
    );
  }
  refuseMixtures(model, options);
  if (model.loop) return wholeModel(model, loops, 1, true);
  if (options.init && options.loops === undefined) {
    throw new RondoError(
      'CONFIG_INVALID',
      `--init ${options.init} needs --loops: among how many depths each layer is shared`,
    );
  }
  if (options.init) return tiedPlan(model, loops, options);
  if (options.loopLayers) return repeatedPlan(model, loops, damping, options.loopLayers);
  if (loops > 1) {
    throw new RondoError(
      'CONFIG_INVALID',
      `--loops ${loops} needs --loop-layers a-b, the layers to repeat within 0-${model.layers - 1}, or --init, which makes fewer layers of them`,
    );
  }
  return wholeModel(model, 1, damping, false);
}

/** Repeating layers as they are and tying several into one are two ways to loop a model, and a looped one needs neither. */
function refuseMixtures(
  { architecture, loop }: ModelSpec,
  { init, loopLayers, damping, ...tying }: LoopOptions,
): void {
  if (loop && (loopLayers || init || (damping ?? 1) !== 1)) {
    throw new RondoError(
      'CONFIG_INVALID',
      `--loop-layers, --loop-damping and --init do not apply to ${architecture}, which is looped already; only --loops does`,
    );
  }
  if (init && (loopLayers || damping !== undefined)) {
    throw new RondoError(
      'CONFIG_INVALID',
      `--init ${init} does not go with ${loopLayers ? '--loop-layers' : '--loop-damping'}: --init ties layers into a smaller block, --loop-layers and --loop-damping repeat layers as they are; leave one of them out`,
    );
  }
  const idle = Object.entries(tying).find(
    ([name, value]) => TIE_FLAGS[name as keyof typeof TIE_FLAGS] && value !== undefined,
  );
  if (!init && idle) {
    const flag = TIE_FLAGS[idle[0] as keyof typeof TIE_FLAGS];
    throw new RondoError(
      'CONFIG_INVALID',
      `${flag} ${idle[1]}: only with --init, which ties layers into a smaller block`,
    );
  }
}

const TIE_FLAGS = {
  initNorms: '--init-norms',
  initSeed: '--init-seed',
  keepFirst: '--keep-first',
  keepLast: '--keep-last',
} as const;

const wholeModel = (
  { layers }: ModelSpec,
  maxDepth: number,
  damping: number,
  normAfterPass: boolean,
): LoopPlan => ({ prelude: [], block: range(0, layers), coda: [], maxDepth, damping, normAfterPass });

function repeatedPlan(
  { layers }: ModelSpec,
  maxDepth: number,
  damping: number,
  { first, last }: NonNullable<LoopOptions['loopLayers']>,
): LoopPlan {
  const end = layers - 1;
  if (!Number.isInteger(first) || !Number.isInteger(last) || first < 0 || last > end || first > last) {
    throw new RondoError('CONFIG_INVALID', `--loop-layers ${first}-${last}: must be a range within 0-${end}`);
  }
  return {
    prelude: range(0, first),
    block: range(first, last + 1),
    coda: range(last + 1, layers),
    maxDepth,
    damping,
    normAfterPass: false,
  };
}

function tiedPlan(model: ModelSpec, loops: number, options: LoopOptions): LoopPlan {
  const { keepFirst = 0, keepLast = 0 } = options;
  const tied = tieLayers(model, loops, options);
  const codaFirst = keepFirst + tied.sources.length;
  return {
    prelude: range(0, keepFirst),
    block: range(keepFirst, codaFirst),
    coda: range(codaFirst, codaFirst + keepLast),
    maxDepth: loops,
    damping: 1,
    normAfterPass: false,
    tied,
  };
}

/** The layer of the source that a written layer stands for at a depth; `depth` matters inside a tied block only. */
export function sourceLayer(
  { prelude, block, maxDepth, tied }: LoopPlan,
  layer: number,
  depth: number,
): number {
  if (!tied || layer < prelude.length) return layer;
  const place = layer - prelude.length;
  return tied.sources[place]?.[depth] ?? layer + (maxDepth - 1) * block.length;
}

import { RondoError } from '@rondo/core';
import type { ModelSpec } from './checkpoint.ts';

/** A run of layers with K and V of their own. */
export type StackName = 'prelude' | 'block' | 'coda';

/** Which source layers lie before, inside and after the loop, and how often the block is applied. */
export interface LoopPlan {
  readonly prelude: readonly number[];
  readonly block: readonly number[];
  readonly coda: readonly number[];
  readonly maxDepth: number;
  /** α in h ← h + α·(block(h) − h); 1 is plain repetition. */
  readonly damping: number;
  /** The final norm follows every pass and its output feeds the next one (Ouro). */
  readonly normAfterPass: boolean;
}

export interface LoopOptions {
  readonly loops?: number | undefined;
  /** 0-based, inclusive. */
  readonly loopLayers?: { readonly first: number; readonly last: number } | undefined;
  readonly damping?: number | undefined;
}

const range = (first: number, end: number): number[] =>
  Array.from({ length: Math.max(0, end - first) }, (_, index) => first + index);

/** @throws RondoError CONFIG_INVALID naming the option, its value and what the checkpoint allows. */
export function planLoop(model: ModelSpec, options: LoopOptions): LoopPlan {
  const { loopLayers, damping = 1 } = options;
  const loops = options.loops ?? model.loop?.passes ?? 1;
  const last = model.layers - 1;
  if (!Number.isInteger(loops) || loops < 1) {
    throw new RondoError('CONFIG_INVALID', `--loops ${loops}: must be a whole number from 1`);
  }
  if (!Number.isFinite(damping) || damping <= 0 || damping > 1) {
    throw new RondoError(
      'CONFIG_INVALID',
      `--loop-damping ${damping}: must lie in (0, 1]; 1 is plain repetition`,
    );
  }
  if (model.loop) {
    if (loopLayers || damping !== 1) {
      throw new RondoError(
        'CONFIG_INVALID',
        `--loop-layers and --loop-damping do not apply to ${model.architecture}, which is looped already; only --loops does`,
      );
    }
    return {
      prelude: [],
      block: range(0, model.layers),
      coda: [],
      maxDepth: loops,
      damping: 1,
      normAfterPass: true,
    };
  }
  if (!loopLayers) {
    if (loops > 1) {
      throw new RondoError(
        'CONFIG_INVALID',
        `--loops ${loops} needs --loop-layers a-b: the layers to repeat, within 0-${last}`,
      );
    }
    return {
      prelude: [],
      block: range(0, model.layers),
      coda: [],
      maxDepth: 1,
      damping,
      normAfterPass: false,
    };
  }
  const { first, last: end } = loopLayers;
  if (!Number.isInteger(first) || !Number.isInteger(end) || first < 0 || end > last || first > end) {
    throw new RondoError('CONFIG_INVALID', `--loop-layers ${first}-${end}: must be a range within 0-${last}`);
  }
  return {
    prelude: range(0, first),
    block: range(first, end + 1),
    coda: range(end + 1, model.layers),
    maxDepth: loops,
    damping,
    normAfterPass: false,
  };
}

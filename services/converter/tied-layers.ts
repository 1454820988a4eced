import { RondoError } from '@rondo/core';
import type { ModelSpec } from './model-spec.ts';

/** What the shared layers begin as. (Relaxed Recursive Transformers, Bae et al. 2024, §2.3 and appendix F) */
export const LOOP_INITS = ['stepwise', 'average', 'lower', 'random'] as const;
export type LoopInit = (typeof LOOP_INITS)[number];

/** Norm weights under `average`: the mean too, those of the first tied layer, or none (a factor of 1). */
export const INIT_NORMS = ['average', 'choice', 'zero'] as const;
export type InitNorms = (typeof INIT_NORMS)[number];

export interface TieOptions {
  /** Ties the layers of the loop into `1 / loops` as many; without it layers are repeated as they are. */
  readonly init?: LoopInit | undefined;
  /** With `average` only. */
  readonly initNorms?: InitNorms | undefined;
  /** With `random` only; 0 by default. */
  readonly initSeed?: number | undefined;
  /** Outer layers that stay as they are, before and after the loop. */
  readonly keepFirst?: number | undefined;
  readonly keepLast?: number | undefined;
}

/** K layers that stand for B·K of the source. */
export interface TiedLayers {
  readonly init: LoopInit;
  readonly initNorms: InitNorms;
  readonly initSeed: number;
  /** [k][b]: the source layer that the k-th layer of the block stands for at depth b. */
  readonly sources: readonly (readonly number[])[];
  /** [k]: the source layer that the k-th begins as, with `stepwise` and `lower`. */
  readonly kept?: readonly number[];
}

/**
 * CYCLE sharing: of the n + B·K + m layers of `model` the k-th shared one stands for n + k, n + K + k, …
 * (Bae et al. 2024, eq. 2)
 * @throws RondoError CONFIG_INVALID when B does not divide what is to be tied, with what would.
 */
export function tieLayers(model: ModelSpec, loops: number, options: TieOptions): TiedLayers {
  const { init = 'average', initNorms, initSeed, keepFirst = 0, keepLast = 0 } = options;
  for (const [flag, value] of [
    ['--keep-first', keepFirst],
    ['--keep-last', keepLast],
  ] as const) {
    if (!Number.isInteger(value) || value < 0) {
      throw new RondoError('CONFIG_INVALID', `${flag} ${value}: must be a whole number from 0`);
    }
  }
  if (initNorms !== undefined && init !== 'average') {
    throw new RondoError(
      'CONFIG_INVALID',
      `--init-norms ${initNorms}: only with --init average; ${init} has norms of its own`,
    );
  }
  if (initSeed !== undefined && init !== 'random') {
    throw new RondoError('CONFIG_INVALID', `--init-seed ${initSeed}: only with --init random`);
  }
  const inner = model.layers - keepFirst - keepLast;
  if (inner < loops || inner % loops !== 0) throw indivisible(model.layers, loops, keepFirst, keepLast);
  const size = inner / loops;
  const kept = keptLayers(init, size, keepFirst, inner);
  return {
    init,
    initNorms: initNorms ?? 'average',
    initSeed: initSeed ?? 0,
    sources: Array.from({ length: size }, (_, k) =>
      Array.from({ length: loops }, (_, depth) => keepFirst + depth * size + k),
    ),
    ...(kept && { kept }),
  };
}

/** Stepwise: at equal intervals, the first and the last among them (18 layers to 9: 0, 2, 4, … 14, 17). Lower: the first. */
function keptLayers(init: LoopInit, size: number, first: number, inner: number): number[] | undefined {
  const layers = Array.from({ length: size }, (_, k) => k);
  if (init === 'lower') return layers.map((k) => first + k);
  if (init !== 'stepwise') return undefined;
  return layers.map((k) => first + (size === 1 ? 0 : Math.floor((k * (inner - 1)) / (size - 1))));
}

function indivisible(layers: number, loops: number, keepFirst: number, keepLast: number): RondoError {
  const inner = layers - keepFirst - keepLast;
  const kept = keepFirst + keepLast > 0 ? ` minus --keep-first ${keepFirst} and --keep-last ${keepLast}` : '';
  const divisors = Array.from({ length: Math.max(0, inner) }, (_, at) => at + 1).filter(
    (divisor) => divisor > 1 && inner % divisor === 0,
  );
  const which = kept ? 'these layers' : `${layers} layers`;
  const loopsThatFit =
    divisors.length > 0 ? `--loops ${divisors.join(', ')} would fit ${which}` : `no --loops fits ${which}`;
  const keeps = keepsThatFit(layers, loops, keepFirst, keepLast);
  const keepsText =
    keeps.length > 0
      ? `--loops ${loops} would fit with ${keeps.map(([n, m, k]) => `--keep-first ${n} --keep-last ${m} (a block of ${k})`).join(' or ')}`
      : `--loops ${loops} is more than the model has layers`;
  return new RondoError(
    'CONFIG_INVALID',
    `--loops ${loops} does not divide the ${layers} layers${kept} into equal blocks: ${loopsThatFit}; ${keepsText}`,
  );
}

/** Up to three ways to keep the fewest outer layers, from as many as were asked for: [first, last, layers of the block]. */
function keepsThatFit(
  layers: number,
  loops: number,
  keepFirst: number,
  keepLast: number,
): (readonly [number, number, number])[] {
  if (loops > layers) return [];
  let more = (layers - keepFirst - keepLast) % loops;
  // Asked for more than there is: from none.
  if (layers - keepFirst - keepLast < loops) {
    [keepFirst, keepLast, more] = [0, 0, layers % loops];
  }
  const size = (layers - keepFirst - keepLast - more) / loops;
  const splits = [Math.ceil(more / 2), more, 0].map(
    (first) => [keepFirst + first, keepLast + more - first, size] as const,
  );
  return splits.filter(([first], at) => splits.findIndex(([other]) => other === first) === at);
}

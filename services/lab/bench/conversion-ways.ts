import type { Manifest } from '@rondo/bundle';
import { type InitNorms, LOOP_INITS, type LoopInit } from '@rondo/converter';

/** One way to make a looped model of a checkpoint without training it. */
export interface ConversionWay {
  /** `original`, `repeat` for layers repeated as they are, or how tied layers begin. */
  readonly kind: 'original' | 'repeat' | LoopInit;
  readonly loops: number;
  /** 0-based, inclusive: the layers that `repeat` repeats. */
  readonly loopLayers?: { readonly first: number; readonly last: number };
  readonly damping?: number;
  /** Layers at either end that stay as they are (middle-cycle). */
  readonly kept?: number;
  readonly norms?: InitNorms;
  /** Of each depth's factors; 0 for none. */
  readonly rank: number;
  /** Of the weights; f32 by default. */
  readonly precision?: Manifest['precision'];
  /** Of the factors; f32 by default. */
  readonly factors?: 'int8';
}

const ORIGINAL: ConversionWay = { kind: 'original', loops: 1, rank: 0 };

const repeat = (first: number, last: number, loops: number, damping: number): ConversionWay => ({
  kind: 'repeat',
  loops,
  loopLayers: { first, last },
  damping,
  rank: 0,
});

/** As `make run` loops it. */
const SERVED = repeat(4, 7, 2, 1 / 2);

/** What a clone that only looks waits for. */
export const QUICK_WAYS: readonly ConversionWay[] = [
  ORIGINAL,
  SERVED,
  ...(['stepwise', 'average', 'lower', 'random'] as const).map((kind) => ({ kind, loops: 2, rank: 0 })),
  { kind: 'stepwise', loops: 2, rank: 64 },
  { kind: 'average', loops: 2, rank: 64 },
];

const REPEATED: readonly ConversionWay[] = [
  SERVED,
  repeat(4, 7, 2, 1),
  repeat(4, 7, 3, 1 / 3),
  repeat(7, 8, 2, 1 / 2),
  repeat(13, 16, 2, 1 / 2),
  repeat(7, 14, 2, 1 / 2),
  repeat(1, 28, 2, 1 / 2),
];

/** Every init over two and three loops, from shared layers alone to what the full rank gives back. */
const tied = (fullRank: number): ConversionWay[] =>
  [2, 3].flatMap((loops) =>
    LOOP_INITS.flatMap((kind) =>
      [0, 64, 256, fullRank].map((rank): ConversionWay => ({ kind, loops, rank })),
    ),
  );

const NORMS: readonly ConversionWay[] = [{ kind: 'average', loops: 2, norms: 'zero', rank: 0 }];

/** One layer at either end, or ten, outside the loop. */
const MIDDLE: readonly ConversionWay[] = [
  { kind: 'average', loops: 2, kept: 1, rank: 0 },
  { kind: 'average', loops: 2, kept: 1, rank: 64 },
  { kind: 'average', loops: 2, kept: 10, rank: 0 },
  { kind: 'average', loops: 2, kept: 10, rank: 64 },
  { kind: 'average', loops: 2, kept: 10, rank: 256 },
];

/** What eight bits cost besides: the original, the served model, and a relaxed one with its factors in either precision. */
const rounded = (fullRank: number): ConversionWay[] => [
  { ...ORIGINAL, precision: 'int8' },
  { ...SERVED, precision: 'int8' },
  { kind: 'average', loops: 2, kept: 10, rank: 64, precision: 'int8' },
  { kind: 'average', loops: 2, kept: 10, rank: 64, precision: 'int8', factors: 'int8' },
  { kind: 'average', loops: 2, rank: fullRank, precision: 'int8' },
  { kind: 'average', loops: 2, rank: fullRank, precision: 'int8', factors: 'int8' },
];

/** Every way of the table: layers repeated, tied, relaxed up to the full `rank`, tied between outer layers, rounded. */
export const allWays = (fullRank: number): ConversionWay[] => [
  ORIGINAL,
  ...REPEATED,
  ...tied(fullRank),
  ...NORMS,
  ...MIDDLE,
  ...rounded(fullRank),
];

/** Ways of one nest have factors of the same residuals: undefined for those without any. */
export const nestOf = ({ kind, loops, kept, norms, rank }: ConversionWay): string | undefined =>
  rank === 0
    ? undefined
    : [
        `${kind}-x${loops}`,
        kept === undefined ? '' : `-kept-${kept}`,
        norms === undefined ? '' : `-norms-${norms}`,
      ].join('');

/** The highest rank of a way's nest among `ways`. */
export const mostRank = (ways: readonly ConversionWay[], way: ConversionWay): number =>
  Math.max(...ways.filter((other) => nestOf(other) === nestOf(way)).map(({ rank }) => rank));

/** The order to judge ways in: those that lose nothing first, since they say whether the others can be believed. */
export const judgingOrder = (ways: readonly ConversionWay[], fullRank: number): ConversionWay[] => {
  const isWhole = ({ rank, precision }: ConversionWay) => rank === fullRank && !precision;
  return [...ways.filter(isWhole), ...ways.filter((way) => !isWhole(way))];
};

/** What a reader calls a way, and what its files are named by. */
export function wayName(way: ConversionWay): string {
  const { kind, loops, loopLayers, damping, kept, norms, rank, precision, factors } = way;
  const loop = loopLayers
    ? `layers ${loopLayers.first}-${loopLayers.last} x${loops}, damping ${damping!.toFixed(2)}`
    : kind === 'original'
      ? kind
      : `${kind} x${loops}`;
  return [
    loop,
    kept === undefined ? '' : `, ${kept} layers kept at either end`,
    norms === undefined ? '' : `, norms ${norms}`,
    rank === 0 ? '' : `, rank ${rank}`,
    precision === undefined ? '' : `, ${precision}`,
    factors === undefined ? '' : `, factors ${factors}`,
  ].join('');
}

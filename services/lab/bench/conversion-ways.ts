import type { InitNorms, LoopInit } from '@rondo/converter';

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
}

export const ORIGINAL: ConversionWay = { kind: 'original', loops: 1, rank: 0 };

const repeat = (first: number, last: number, loops: number, damping: number): ConversionWay => ({
  kind: 'repeat',
  loops,
  loopLayers: { first, last },
  damping,
  rank: 0,
});

/** What a clone that only looks waits for. */
export const QUICK_WAYS: readonly ConversionWay[] = [
  ORIGINAL,
  repeat(4, 7, 2, 1 / 2),
  ...(['stepwise', 'average', 'lower', 'random'] as const).map((kind) => ({ kind, loops: 2, rank: 0 })),
  { kind: 'stepwise', loops: 2, rank: 64 },
  { kind: 'average', loops: 2, rank: 64 },
];

const REPEATED: readonly ConversionWay[] = [
  repeat(4, 7, 2, 1 / 2),
  repeat(4, 7, 2, 1),
  repeat(4, 7, 3, 1 / 3),
  repeat(7, 8, 2, 1 / 2),
  repeat(13, 16, 2, 1 / 2),
  repeat(7, 14, 2, 1 / 2),
  repeat(1, 28, 2, 1 / 2),
];

const TIED: readonly ConversionWay[] = ([2, 3] as const).flatMap((loops) =>
  (['stepwise', 'average', 'lower', 'random'] as const).map((kind) => ({ kind, loops, rank: 0 })),
);

const NORMS: readonly ConversionWay[] = [{ kind: 'average', loops: 2, norms: 'zero', rank: 0 }];

/** One layer at either end, or ten, outside the loop. */
const MIDDLE: readonly ConversionWay[] = [1, 10].flatMap((kept) =>
  [0, 64].map((rank): ConversionWay => ({ kind: 'average', loops: 2, kept, rank })),
);

const RELAXED: readonly ConversionWay[] = ([8, 64, 256] as const).flatMap((rank) =>
  (['stepwise', 'average'] as const).map((kind) => ({ kind, loops: 2, rank })),
);

/** Every way of the table: layers repeated, tied, tied between outer layers, and relaxed up to the full `rank`. */
export const allWays = (fullRank: number): ConversionWay[] => [
  ORIGINAL,
  ...REPEATED,
  ...TIED,
  ...NORMS,
  ...MIDDLE,
  ...RELAXED,
  { kind: 'average', loops: 2, rank: fullRank },
];

/** What a reader calls a way, and what its files are named by. */
export function wayName({ kind, loops, loopLayers, damping, kept, norms, rank }: ConversionWay): string {
  if (kind === 'original') return kind;
  if (loopLayers)
    return `layers ${loopLayers.first}-${loopLayers.last} x${loops}, damping ${damping!.toFixed(2)}`;
  return [
    `${kind} x${loops}`,
    kept === undefined ? '' : `, ${kept} layers kept at either end`,
    norms === undefined ? '' : `, norms ${norms}`,
    rank === 0 ? '' : `, rank ${rank}`,
  ].join('');
}

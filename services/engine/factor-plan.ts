import type { FactorsPlace } from '@rondo/bundle';
import { MATRIX_WORDS } from './kernel/matrix.ts';
import type { MemoryPlan } from './kernel/memory-plan.ts';
import { roundedTileBytes, SIXTEEN } from './kernel/round-rows.ts';
import { tilesBytes } from './kernel/row-tiles.ts';
import type { LaidMatrix, PlannedMatrix } from './layer-plan.ts';

type PartPlace = FactorsPlace['parts'][number];

/** A piece of a stored matrix, [inputs, outputs] from an input and an output of it on. */
export interface StoredPiece {
  readonly stored: FactorsPlace['a'];
  readonly firstInput: number;
  readonly firstOutput: number;
  readonly inputs: number;
  readonly outputs: number;
}

/** A factor in the kernel's memory, and the pieces side by side in it; what lies between them is zero. */
export interface PlannedFactor extends LaidMatrix {
  readonly pieces: readonly (StoredPiece & { readonly at: number })[];
}

/** The factors of a linear at one depth: A of all its parts, and B of each, which is added to the part's outputs or put where its product adds it. */
export interface DepthFactors {
  readonly a: PlannedFactor;
  readonly bs: readonly PlannedFactor[];
}

/** All depths' factors of a linear, which share where rows lie. */
export interface PlannedFactors {
  readonly depths: readonly DepthFactors[];
  /** The linear's own rows are rounded by blocks, these by rows. */
  readonly roundsInput: boolean;
  /** The linear's own product adds what they put out, so that it comes behind them. */
  readonly first: boolean;
}

/** Addresses of what all factors share: inputs rounded by rows where their linears' are not, what A puts out, and that rounded part by part. */
export interface FactorAreas {
  readonly rounded: number | undefined;
  readonly low: number;
  readonly lowRounded: readonly number[];
}

const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);

/** A part's rank, as the kernel multiplies it: the same at all depths. */
const padded = ({ ranks }: PartPlace): number => Math.ceil(Math.max(...ranks) / SIXTEEN) * SIXTEEN;

/** Ranks of all parts. */
const lowWidth = ({ parts }: FactorsPlace): number => sum(parts.map(padded));

/** About as many bytes as the factors take of linears of at most so many columns. */
export const factorBytes = (all: readonly FactorsPlace[], columns: number): number =>
  sum(
    all.flatMap(({ parts }) =>
      parts.map((part) => part.ranks.length * padded(part) * (columns + part.outputs)),
    ),
  );

/** Reserves memory for `all` factors; `columns`: of the widest linear whose rows are not rounded by rows, 0 where all are. */
export function factorAreas(
  plan: MemoryPlan,
  all: readonly FactorsPlace[],
  rowsMax: number,
  columns: number,
): FactorAreas {
  const widest = Math.max(...all.map(lowWidth));
  const tiles = (width: number) => plan.floats(tilesBytes(rowsMax, roundedTileBytes(width)) / 4);
  return {
    rounded: columns > 0 ? tiles(columns) : undefined,
    low: plan.floats(rowsMax * widest),
    lowRounded: Array.from({ length: Math.max(...all.map(({ parts }) => parts.length)) }, () =>
      tiles(Math.max(...all.flatMap(({ parts }) => parts.map(padded)))),
    ),
  };
}

/** Reserves memory for the factors of a linear whose matrix is planned. */
export function planFactors(
  place: FactorsPlace,
  linear: PlannedMatrix,
  areas: FactorAreas,
  plan: MemoryPlan,
): PlannedFactors {
  const columns = linear.sourceRowBytes / 4;
  const factor = (
    worker: 'factorProduct' | 'factorAddition',
    [outputs, inputs]: readonly [number, number],
    rows: Pick<LaidMatrix, 'source' | 'rounded' | 'target' | 'sourceRowBytes' | 'targetRowBytes'>,
    pieces: PlannedFactor['pieces'],
  ): PlannedFactor => ({
    ...{ worker, outputs, blocks: inputs / SIXTEEN, zeros: 0, pieces, ...rows },
    address: plan.floats(MATRIX_WORDS),
    weights: plan.floats((outputs * inputs) / 4),
    scales: plan.floats(outputs),
  });
  const width = lowWidth(place);
  const lowRowBytes = width * 4;
  const out =
    linear.sums === undefined
      ? ({ worker: 'factorAddition', target: linear.target, rowBytes: linear.targetRowBytes } as const)
      : ({ worker: 'factorProduct', target: linear.sums, rowBytes: 2 * linear.targetRowBytes } as const);
  const ofDepth = (depth: number): DepthFactors => {
    const before = ({ ranks }: PartPlace) => sum(ranks.slice(0, depth));
    let [stored, at] = [0, 0];
    const parts = place.parts.map((part) => {
      const piece = { stored: place.a, firstInput: 0, firstOutput: stored + before(part), at };
      const placed = { part, at, piece: { ...piece, inputs: columns, outputs: part.ranks[depth]! } };
      stored += sum(part.ranks);
      at += padded(part);
      return placed;
    });
    return {
      a: factor(
        'factorProduct',
        [width, columns],
        {
          ...{
            source: linear.source,
            sourceRowBytes: linear.sourceRowBytes,
            rounded: areas.rounded ?? linear.rounded,
          },
          ...{ target: areas.low, targetRowBytes: lowRowBytes },
        },
        parts.map(({ piece }) => piece),
      ),
      bs: parts.map(({ part, at }, index) =>
        factor(
          out.worker,
          [part.outputs, padded(part)],
          {
            ...{ source: areas.low + at * 4, sourceRowBytes: lowRowBytes, rounded: areas.lowRounded[index]! },
            ...{ target: out.target + part.firstOutput * 4, targetRowBytes: out.rowBytes },
          },
          [
            {
              ...{
                stored: part.b,
                firstInput: part.firstInput + before(part),
                firstOutput: part.firstColumn,
              },
              ...{ inputs: part.ranks[depth]!, outputs: part.outputs, at: 0 },
            },
          ],
        ),
      ),
    };
  };
  const depths = place.parts[0]!.ranks.map((_, depth) => ofDepth(depth));
  return { depths, roundsInput: areas.rounded !== undefined, first: linear.sums !== undefined };
}

import type { FactorsPlace } from '@rondo/bundle';
import { ADAPTED_WORDS } from './kernel/adapted-product.ts';
import { GROUP_BYTES, MATRIX_WORDS, rangeOfDepth } from './kernel/matrix.ts';
import type { MemoryPlan } from './kernel/memory-plan.ts';
import { roundedTileBytes, SIXTEEN } from './kernel/rounded-row.ts';
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
  /** It is multiplied group by group where its linear's own product adds that. */
  readonly addend: boolean;
  readonly pieces: readonly (StoredPiece & { readonly at: number })[];
}

/** The factors of a linear at one depth. */
export interface DepthFactors {
  /** Of all its parts. */
  readonly a: PlannedFactor;
  /** Of one part after the other, and zeros of what no part has: together as many outputs as the linear's. */
  readonly bs: readonly PlannedFactor[];
}

/** All depths' factors of a linear, which share where rows lie. */
export interface PlannedFactors {
  readonly depths: readonly [DepthFactors, ...DepthFactors[]];
  /** Address of the description of the linear with them. */
  readonly address: number;
  /** Address of the number of the run. */
  readonly run: number;
  /** For each part, what A puts out and where it is rounded to: matrices without outputs. */
  readonly lows: readonly LaidMatrix[];
  /** The linear's own rows are rounded by blocks, these by rows. */
  readonly roundsInput: boolean;
}

/** Addresses of what all factors share: inputs rounded by rows where their linears' are not, what A puts out, and that rounded part by part. */
export interface FactorAreas {
  /** Of all rows of a run, and behind them of those of each depth; and of the number of the run. */
  readonly ranges: number;
  readonly run: number;
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
  { rowsMax, columns, ranges, run }: Readonly<Record<'rowsMax' | 'columns' | 'ranges' | 'run', number>>,
): FactorAreas {
  const widest = Math.max(...all.map(lowWidth));
  const tiles = (width: number) => plan.floats(tilesBytes(rowsMax, roundedTileBytes(width)) / 4);
  return {
    ...{ ranges, run },
    rounded: columns > 0 ? tiles(columns) : undefined,
    low: plan.floats(rowsMax * widest),
    lowRounded: Array.from({ length: Math.max(...all.map(({ parts }) => parts.length)) }, () =>
      tiles(Math.max(...all.flatMap(({ parts }) => parts.map(padded)))),
    ),
  };
}

/** Parts of a linear in the order of its outputs, and between them what has no part. */
function covering(
  parts: readonly PartPlace[],
  outputs: number,
): { readonly part?: PartPlace; readonly index: number; readonly outputs: number }[] {
  const covered: { part?: PartPlace; index: number; outputs: number }[] = [];
  let at = 0;
  const skipTo = (next: number) => {
    if (next > at) covered.push({ index: -1, outputs: next - at });
  };
  parts.forEach((part, index) => {
    skipTo(part.firstOutput);
    covered.push({ part, index, outputs: part.outputs });
    at = part.firstOutput + part.outputs;
  });
  skipTo(outputs);
  return covered;
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
    [outputs, inputs]: readonly [number, number],
    rows: Pick<LaidMatrix, 'source' | 'rounded' | 'target' | 'sourceRowBytes' | 'targetRowBytes' | 'range'>,
    pieces: PlannedFactor['pieces'],
    addend = false,
  ): PlannedFactor => ({
    ...{ outputs, blocks: inputs / SIXTEEN, zeros: 0, pieces, addend, ...rows },
    address: plan.floats(MATRIX_WORDS),
    weights: plan.floats((outputs * inputs) / 4),
    scales: plan.floats(outputs),
  });
  const width = lowWidth(place);
  const lowRowBytes = width * 4;
  /** B of one part, or zeros, in scratch memory from its rows' place on. */
  const addend = (
    {
      depth,
      outputs,
      inputs,
      at,
      index,
    }: Readonly<Record<'depth' | 'outputs' | 'inputs' | 'at' | 'index', number>>,
    pieces: PlannedFactor['pieces'],
  ): PlannedFactor =>
    factor(
      [outputs, inputs],
      {
        ...{ source: areas.low + at * 4, sourceRowBytes: lowRowBytes, rounded: areas.lowRounded[index]! },
        ...{ target: 0, targetRowBytes: GROUP_BYTES, range: rangeOfDepth(areas.ranges, depth) },
      },
      pieces,
      true,
    );
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
        [width, columns],
        {
          ...{
            source: linear.source,
            sourceRowBytes: linear.sourceRowBytes,
            rounded: areas.rounded ?? linear.rounded,
          },
          ...{ target: areas.low, targetRowBytes: lowRowBytes, range: rangeOfDepth(areas.ranges, depth) },
        },
        parts.map(({ piece }) => piece),
      ),
      bs: covering(place.parts, linear.outputs).map(({ part, index, outputs }) =>
        part
          ? addend({ depth, outputs, inputs: padded(part), at: parts[index]!.at, index }, [
              {
                ...{ stored: part.b, firstInput: part.firstInput + before(part) },
                ...{ firstOutput: part.firstColumn, inputs: part.ranks[depth]!, outputs, at: 0 },
              },
            ])
          : addend({ depth, outputs, inputs: padded(place.parts[0]!), at: 0, index: 0 }, []),
      ),
    };
  };
  const [, ...deeper] = place.parts[0]!.ranks;
  const depths = [ofDepth(0), ...deeper.map((_, before) => ofDepth(before + 1))] as const;
  const lows = depths[0].bs
    .filter(({ pieces }) => pieces.length > 0)
    .map((b) => ({ ...b, outputs: 0, address: plan.floats(MATRIX_WORDS), range: areas.ranges }));
  const address = plan.floats(ADAPTED_WORDS);
  return { depths, lows, address, run: areas.run, roundsInput: areas.rounded !== undefined };
}

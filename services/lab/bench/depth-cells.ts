import type { LoadSummary } from '../load/load-summary.ts';
import { median } from '../load/quantile.ts';
import { type ExitMix, plannedDepth } from './depth-exits.ts';
import type { BlockRuns, RowsPerToken } from './depth-load.ts';
import type { Policy } from './depth-server.ts';

export interface DepthSample {
  readonly policy: Policy;
  readonly mix: ExitMix;
  readonly loop: 'closed' | 'open';
  /** Clients of a closed loop; share of `sequence`'s capacity of an open one. */
  readonly load: number;
  readonly seed: number;
  readonly summary: LoadSummary;
  /** Of a closed loop. */
  readonly runs?: BlockRuns;
  /** Of an open one: p99 between tokens of each of its turns, whose arrivals every policy met. */
  readonly p99OfTurnsMs?: readonly number[];
}

export interface DepthFindings {
  readonly samples: readonly DepthSample[];
  /** Of the workload. */
  readonly rows: RowsPerToken;
  /** Clients at saturation. */
  readonly saturation: number;
  readonly maxDepth: number;
  readonly live: number;
  /** Resident at the end, of the worker with policy `depth`, and what it may be: weights, KV budget and 400 MiB. */
  readonly workerMiB: number;
  readonly workerMiBMax: number;
}

/** Repeats of one cell: one policy, mix and load. */
export interface Group {
  readonly policy: Policy;
  readonly mix: ExitMix;
  readonly loop: 'closed' | 'open';
  readonly load: number;
  readonly seed: number;
  readonly repeats: readonly DepthSample[];
  readonly ofRuns: (pick: (runs: BlockRuns) => number) => number;
  readonly of: (pick: (summary: LoadSummary) => number) => number;
}

/** Repeats of one cell as one: the median of each figure. */
export function groups(samples: readonly DepthSample[]): Group[] {
  const byCell = Map.groupBy(samples, ({ policy, mix, loop, load }) => [policy, mix, loop, load].join());
  return [...byCell.values()].map((repeats) => ({
    ...repeats[0]!,
    repeats,
    ofRuns: (pick) => median(repeats.flatMap(({ runs }) => (runs ? [pick(runs)] : []))),
    of: (pick) => median(repeats.map(({ summary }) => pick(summary)).filter((value) => !Number.isNaN(value))),
  }));
}

/** The first group that is like `wanted`. */
export const find = (all: readonly Group[], wanted: Partial<Group>): Group | undefined =>
  all.find((group) =>
    (['policy', 'mix', 'loop', 'load'] as const).every(
      (key) => wanted[key] === undefined || wanted[key] === group[key],
    ),
  );

/** Passes of an answer's row: as recorded, or as the answers told. */
export const depthOf = ({ mix, seed, summary }: DepthSample, maxDepth: number): number =>
  plannedDepth(mix, seed, maxDepth) ?? summary.passesPerToken;

export const meanDepth = ({ maxDepth }: DepthFindings, { repeats }: Group): number =>
  median(repeats.map((sample) => depthOf(sample, maxDepth)).filter((depth) => !Number.isNaN(depth)));

/** What `ratio` makes of each repeat of a group and the one of `other` beside it. */
export const beside = (
  group: Group | undefined,
  other: Group | undefined,
  ratio: (sample: DepthSample, neighbour: DepthSample) => number,
): number[] =>
  (group?.repeats ?? []).flatMap((sample) => {
    const neighbour = other?.repeats.find(({ seed }) => seed === sample.seed);
    return neighbour ? [ratio(sample, neighbour)] : [];
  });

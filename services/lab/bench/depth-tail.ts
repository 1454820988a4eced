import type { BlockWork } from './depth-load.ts';

/** Of one turn of an open loop. */
export interface OpenTurnTail {
  /** Between tokens. */
  readonly p99Ms: number;
  readonly work: BlockWork;
}

/**
 * What the block's work would have taken on the machine at its usual speed: a·runs + b·rows with a and b by least squares over all
 * windows, each by its share and not its length, so that a long one counts no more.
 */
export function usualMs(windows: readonly BlockWork[]): (work: BlockWork) => number {
  let [uu, uv, vv, u, v] = [0, 0, 0, 0, 0];
  for (const { runs, rows, runMs } of windows) {
    const [perRun, perRow] = [runs / runMs, rows / runMs];
    uu += perRun * perRun;
    uv += perRun * perRow;
    vv += perRow * perRow;
    u += perRun;
    v += perRow;
  }
  const determinant = uu * vv - uv * uv;
  const [a, b] = [(u * vv - v * uv) / determinant, (v * uu - u * uv) / determinant];
  return ({ runs, rows }) => a * runs + b * rows;
}

/** A geometric mean over turns. */
export interface TurnMean {
  readonly mean: number;
  /** Of that mean, as a factor less 1. */
  readonly standardError: number;
}

export interface TailRatio {
  /** At the machine's usual speed. */
  readonly steady: TurnMean;
  /** As it came. */
  readonly bare: TurnMean;
  readonly turns: number;
}

/**
 * p99 of the time between tokens to that of another policy in its turns at the same arrivals, turn by turn, each p99 held against how fast the
 * engine ran in its turn: of a machine that drifts by a tenth and more from one turn to the next the drift is most of what bare
 * ratios show. All gaps as one would have the p99 of the slowest turn or two, whoever's they were, however many there are.
 */
export function tailRatio(
  own: readonly OpenTurnTail[],
  theirs: readonly OpenTurnTail[],
  usual: (work: BlockWork) => number,
): TailRatio {
  const ratios = (p99Of: (turn: OpenTurnTail) => number) =>
    geometricMean(own.map((turn, at) => p99Of(turn) / p99Of(theirs[at]!)));
  return {
    steady: ratios(({ p99Ms, work }) => (p99Ms * usual(work)) / work.runMs),
    bare: ratios(({ p99Ms }) => p99Ms),
    turns: own.length,
  };
}

function geometricMean(ratios: readonly number[]): TurnMean {
  const logs = ratios.map(Math.log);
  const mean = logs.reduce((sum, log) => sum + log, 0) / logs.length;
  const squares = logs.reduce((sum, log) => sum + (log - mean) ** 2, 0);
  return {
    mean: Math.exp(mean),
    standardError: Math.expm1(Math.sqrt(squares / (logs.length - 1) / logs.length)),
  };
}

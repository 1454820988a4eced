/** A geometric mean over turns. */
export interface TurnMean {
  readonly mean: number;
  /** Of that mean, as a factor less 1. */
  readonly standardError: number;
}

/**
 * A figure of each turn of an open loop to that of another policy in its turns at the same arrivals, turn by turn: all gaps as one would have
 * the tail of the slowest turn or two, whoever's they were, however many there are.
 */
export function ratioByTurns(own: readonly number[], theirs: readonly number[]): TurnMean {
  const logs = own.map((value, at) => Math.log(value / theirs[at]!));
  const mean = logs.reduce((sum, log) => sum + log, 0) / logs.length;
  const squares = logs.reduce((sum, log) => sum + (log - mean) ** 2, 0);
  return {
    mean: Math.exp(mean),
    standardError: Math.expm1(Math.sqrt(squares / (logs.length - 1) / logs.length)),
  };
}

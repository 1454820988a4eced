import { median } from '../load/quantile.ts';
import { atMost, type Goal, type Row } from './suite.ts';

/** Which share of the requests is traced. */
export const SHARES = [0, 0.01, 1] as const;

export type Share = (typeof SHARES)[number];

/** One turn of the load with one share traced. */
export interface TracingTurn {
  readonly round: number;
  readonly share: Share;
  readonly tokens: number;
  readonly tokensPerS: number;
  /** Processor time of the server, in milliseconds. */
  readonly cpuMs: number;
  readonly requests: number;
  readonly gapP50Ms: number;
  readonly failed: number;
  /** Spans that left, spans dropped or not taken, and bytes that arrived. */
  readonly spans: number;
  readonly lost: number;
  readonly bytes: number;
}

const GOAL_LOSS = 1;

/** How much less than without tracing a turn did, in percent, against the turn of the same round. */
function losses(turns: readonly TracingTurn[], share: Share, of: (turn: TracingTurn) => number): number[] {
  return turns
    .filter((turn) => turn.share === share)
    .map((turn) => {
      const plain = turns.find((other) => other.share === 0 && other.round === turn.round)!;
      return 100 * (1 - of(turn) / of(plain));
    });
}

const cpuPerToken = ({ cpuMs, tokens }: TracingTurn): number => (1000 * cpuMs) / tokens;

export const tracingRows = (turns: readonly TracingTurn[]): Row[] =>
  SHARES.map((share) => {
    const own = turns.filter((turn) => turn.share === share);
    const sum = (of: (turn: TracingTurn) => number) => own.reduce((total, turn) => total + of(turn), 0);
    return {
      'traced %': 100 * share,
      turns: own.length,
      requests: sum(({ requests }) => requests),
      'tokens/s': median(own.map(({ tokensPerS }) => tokensPerS)),
      'throughput lost %': median(losses(turns, share, ({ tokensPerS }) => tokensPerS)),
      'server µs/token': median(own.map(cpuPerToken)),
      'µs/token more %': -median(losses(turns, share, cpuPerToken)),
      'gap p50 ms': median(own.map(({ gapP50Ms }) => gapP50Ms)),
      'spans/token': sum(({ spans }) => spans) / sum(({ tokens }) => tokens),
      'bytes/span':
        sum(({ spans }) => spans) === 0 ? 0 : sum(({ bytes }) => bytes) / sum(({ spans }) => spans),
      'spans lost': sum(({ lost }) => lost),
      failed: sum(({ failed }) => failed),
    };
  });

export const tracingGoals = (turns: readonly TracingTurn[]): Goal[] => [
  atMost(
    'throughput lost with 1 % of the requests traced, %',
    GOAL_LOSS,
    median(losses(turns, 0.01, ({ tokensPerS }) => tokensPerS)),
  ),
  atMost(
    'spans lost',
    0,
    turns.reduce((sum, { lost }) => sum + lost, 0),
  ),
];

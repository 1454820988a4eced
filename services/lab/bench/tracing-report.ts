import { median, quantile } from '../load/quantile.ts';
import { atMost, type Goal, type Row } from './suite.ts';

/** Which share of the requests is traced. */
export const SHARES = [0, 0.01, 1] as const;

export type Share = (typeof SHARES)[number];

/** The turns of a round: none and 1 %, either first in its turn, so that a machine that drifts favours neither, and in every third round all. */
export function sharesOf(round: number): Share[] {
  const shares: Share[] = round % 2 === 0 ? [0, 0.01] : [0.01, 0];
  return round % 3 === 2 ? [...shares, 1] : shares;
}

export const MODELS = ['small', 'large'] as const;

export type Model = (typeof MODELS)[number];

/** One turn of the load with one share traced. */
export interface TracingTurn {
  readonly model: Model;
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

/** How well the loss at 1 % is known: a turn differs from the next by several times what it may lose. */
export function certainty(turns: readonly TracingTurn[]): string {
  const small = turns.filter(({ model }) => model === 'small');
  const lost = losses(small, 0.01, ({ tokensPerS }) => tokensPerS);
  const at = (q: number) => quantile(lost, q).toFixed(1);
  const notch = (1.57 * (quantile(lost, 0.75) - quantile(lost, 0.25))) / Math.sqrt(lost.length);
  return `Throughput lost with 1 % traced, small model: the middle half of ${lost.length} rounds is ${at(0.25)} to ${at(0.75)} %, so that the median of ${at(0.5)} % is known to ± ${notch.toFixed(1)} points (1.57 interquartile ranges by the root of the rounds, McGill et al. 1978).`;
}

const cpuPerToken = ({ cpuMs, tokens }: TracingTurn): number => (1000 * cpuMs) / tokens;

export const tracingRows = (all: readonly TracingTurn[]): Row[] =>
  MODELS.flatMap((model) => rowsOf(model, all));

function rowsOf(model: Model, all: readonly TracingTurn[]): Row[] {
  const turns = all.filter((turn) => turn.model === model);
  return SHARES.map((share) => {
    const own = turns.filter((turn) => turn.share === share);
    const sum = (of: (turn: TracingTurn) => number) => own.reduce((total, turn) => total + of(turn), 0);
    return {
      model,
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
}

/** The loss is judged where it is largest, and what is lost where a model does the work. */
export function tracingGoals(turns: readonly TracingTurn[]): Goal[] {
  const of = (model: Model) => turns.filter((turn) => turn.model === model);
  return [
    atMost(
      'throughput lost with 1 % of the requests traced, small model, %',
      GOAL_LOSS,
      median(losses(of('small'), 0.01, ({ tokensPerS }) => tokensPerS)),
    ),
    atMost(
      'spans lost, large model',
      0,
      of('large').reduce((sum, { lost }) => sum + lost, 0),
    ),
  ];
}

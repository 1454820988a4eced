import type { Answers } from './questions.ts';
import type { WindowScore } from './window-scores.ts';

/** How one model, run in one way, did on every unit of the suite. */
export interface Scores {
  readonly windows: readonly WindowScore[];
  /** Along A's greedy text. */
  readonly greedy: readonly WindowScore[];
  readonly questions: readonly Answers[];
}

export interface Metric {
  readonly name: MetricName;
  readonly title: string;
  readonly better: 'lower' | 'higher';
  /** What is drawn in a bootstrap. */
  readonly units: keyof Scores;
  /** Of the units, each counted as often as it was `drawn`. NaN for none. */
  of(scores: Scores, drawn: Uint32Array): number;
}

export type MetricName =
  | 'perplexity'
  | 'bitsPerByte'
  | 'agreement'
  | 'kl'
  | 'divergence'
  | 'acc'
  | 'accNorm'
  | 'passes';

/** Σ value · drawn over the units. */
function sum<Unit>(units: readonly Unit[], drawn: Uint32Array, value: (unit: Unit) => number): number {
  return units.reduce((total, unit, at) => total + drawn[at]! * value(unit), 0);
}

const perToken =
  (value: (window: WindowScore) => number) =>
  ({ windows }: Scores, drawn: Uint32Array): number =>
    sum(windows, drawn, value) / sum(windows, drawn, ({ tokens }) => tokens);

const perQuestion =
  (value: (answers: Answers) => boolean) =>
  ({ questions }: Scores, drawn: Uint32Array): number =>
    sum(questions, drawn, (answers) => (value(answers) ? 1 : 0)) / sum(questions, drawn, () => 1);

export const METRICS: readonly Metric[] = [
  {
    name: 'perplexity',
    title: 'perplexity',
    better: 'lower',
    units: 'windows',
    of: (scores, drawn) => Math.exp(perToken(({ nll }) => nll)(scores, drawn)),
  },
  {
    name: 'bitsPerByte',
    title: 'bits per byte',
    better: 'lower',
    units: 'windows',
    of: ({ windows }, drawn) =>
      sum(windows, drawn, ({ nll }) => nll) / Math.LN2 / sum(windows, drawn, ({ bytes }) => bytes),
  },
  {
    name: 'agreement',
    title: 'next token as A',
    better: 'higher',
    units: 'windows',
    of: perToken(({ agreed }) => agreed),
  },
  { name: 'kl', title: 'KL(A‖B), nats', better: 'lower', units: 'windows', of: perToken(({ kl }) => kl) },
  {
    name: 'divergence',
    title: 'greedy tokens as A',
    better: 'higher',
    units: 'greedy',
    of: ({ greedy }, drawn) => sum(greedy, drawn, ({ led }) => led) / sum(greedy, drawn, () => 1),
  },
  {
    name: 'acc',
    title: 'accuracy',
    better: 'higher',
    units: 'questions',
    of: perQuestion(({ correct }) => correct),
  },
  {
    name: 'accNorm',
    title: 'accuracy, by length',
    better: 'higher',
    units: 'questions',
    of: perQuestion(({ correctNorm }) => correctNorm),
  },
  {
    name: 'passes',
    title: 'passes per token',
    better: 'lower',
    units: 'windows',
    of: perToken(({ passes }) => passes),
  },
];

/** The metric over all units, each once. */
export const wholeValue = (metric: Metric, scores: Scores): number =>
  metric.of(scores, new Uint32Array(scores[metric.units].length).fill(1));

export const metricOf = (name: MetricName): Metric => METRICS.find((metric) => metric.name === name)!;

/** The metric called `name` over all units, each once. */
export const metricValue = (name: MetricName, scores: Scores): number => wholeValue(metricOf(name), scores);

import { RondoError } from '@rondo/core';
import { z } from 'zod';
import { bootstrap, type Estimate } from './bootstrap.ts';
import type { Cell } from './cells.ts';
import { checkedJson } from './checked-json.ts';
import { METRICS, type MetricName, type Scores } from './metrics.ts';
import { type EvalReport, exitName, fullCell } from './report.ts';
import type { SuiteSettings } from './suite.ts';

/** How much worse than the baseline each metric may be; a metric that is not named is not judged. */
export type Tolerances = Readonly<Partial<Record<MetricName, Tolerance>>>;

export interface Tolerance {
  readonly amount: number;
  /** Of the baseline's value. */
  readonly relative: boolean;
}

/** What is judged unless told otherwise: about what quantising to eight bits costs. */
export const DEFAULT_TOLERANCES: Tolerances = {
  perplexity: { amount: 0.01, relative: true },
  bitsPerByte: { amount: 0.01, relative: true },
  agreement: { amount: 0.02, relative: false },
  kl: { amount: 0.01, relative: false },
  acc: { amount: 0.02, relative: false },
  accNorm: { amount: 0.02, relative: false },
};

/** One metric of B, run in one way, beside the same of the baseline. */
export interface Judgement {
  readonly exit: string;
  readonly metric: MetricName;
  readonly baseline: number;
  readonly value: number;
  /** How much worse B is, negative when it is better, with its interval. */
  readonly worse: Estimate;
  /** What it may be worse at most. */
  readonly bound: number;
  readonly passed: boolean;
}

const window = z.looseObject({
  tokens: z.number(),
  bytes: z.number(),
  nll: z.number(),
  agreed: z.number(),
  kl: z.number(),
  led: z.number(),
  passes: z.number(),
});
const cell = z.looseObject({
  exit: z.union([
    z.strictObject({ kind: z.literal('depth'), passes: z.number() }),
    z.strictObject({
      kind: z.literal('threshold'),
      policy: z.string(),
      threshold: z.number(),
      saving: z.number().optional(),
    }),
  ]),
  scores: z.looseObject({
    windows: z.array(window),
    greedy: z.array(window),
    questions: z.array(
      z.looseObject({ logLikelihoods: z.array(z.number()), correct: z.boolean(), correctNorm: z.boolean() }),
    ),
  }),
});
const schema = z.looseObject({
  schemaVersion: z.literal(1),
  suite: z.looseObject({ name: z.string(), version: z.number(), digest: z.string(), tokens: z.string() }),
  a: z.looseObject({ maxDepth: z.number(), cells: z.array(cell) }),
  bs: z.array(z.looseObject({ name: z.string(), maxDepth: z.number(), cells: z.array(cell) })).length(1),
});

/** A report that was written by `--json`, of one B: what later ones must not be worse than. */
export type Baseline = z.infer<typeof schema>;

/** @throws RondoError CONFIG_INVALID for what is not such a report. */
export const parseBaseline = (path: string, text: string): Baseline =>
  checkedJson(schema, path, text, "expected what 'rondo eval --json' writes of one --b");

/**
 * Holds the one B of `report` against the baseline's, run in each way that the baseline knows, paired by unit. All passes are held
 * against all passes, however many each has: that is how both are served unless a request says otherwise. A metric passes when the
 * whole interval of how much worse it is lies within its bound: what cannot be told apart from worse does not pass.
 * @throws RondoError CONFIG_INVALID when the two do not measure the same: another suite, text or question, a tokenizer that
 * cuts them differently, another A, or ways of running that B has lost; or when there is nothing to judge a metric by.
 */
export function judge(
  report: EvalReport,
  baseline: Baseline,
  tolerances: Tolerances,
  settings: SuiteSettings,
): Judgement[] {
  refuseOther(report, baseline);
  refuseUnjudged(baseline, tolerances);
  const [b, was] = [report.bs[0]!, baseline.bs[0]!];
  const [whole, cells] = [fullCell(was), new Map(b.cells.map((each) => [exitName(each.exit), each]))];
  return was.cells.flatMap((before) => {
    const exit = exitName(before.exit);
    const now = before === whole ? fullCell(b) : cells.get(exit);
    if (!now) {
      throw new RondoError(
        'CONFIG_INVALID',
        `--gate: the baseline's B can be run at ${exit}, this one cannot: write the baseline anew`,
      );
    }
    const name = exitName(now.exit);
    return judgeCell(
      name === exit ? exit : `${name} (${exit} in the baseline)`,
      now,
      before,
      tolerances,
      settings,
    );
  });
}

function judgeCell(
  exit: string,
  now: Cell,
  before: { readonly scores: Scores },
  tolerances: Tolerances,
  settings: SuiteSettings,
): Judgement[] {
  const options = { ...settings.bootstrap, seed: settings.seed };
  return METRICS.flatMap((metric) => {
    const tolerance = tolerances[metric.name];
    const units = before.scores[metric.units].length;
    if (!tolerance || units === 0) return [];
    const all = new Uint32Array(units).fill(1);
    const [baseline, value] = [metric.of(before.scores, all), metric.of(now.scores, all)];
    const worse = bootstrap(
      units,
      (drawn) => {
        const [was, is] = [metric.of(before.scores, drawn), metric.of(now.scores, drawn)];
        return metric.better === 'lower' ? is - was : was - is;
      },
      options,
    );
    const bound = tolerance.relative ? tolerance.amount * Math.abs(baseline) : tolerance.amount;
    // NaN passes nothing.
    return [{ exit, metric: metric.name, baseline, value, worse, bound, passed: worse.high <= bound }];
  });
}

/**
 * What can be told of tolerances before anything is measured: a gate that judges nothing passes everything.
 * @throws RondoError CONFIG_INVALID when the baseline has no figures of any metric, or none of one that was asked for by name.
 */
export function refuseUnjudged(baseline: Baseline, tolerances: Tolerances): void {
  const { cells } = baseline.bs[0]!;
  const named = METRICS.filter(({ name }) => tolerances[name]);
  const unjudged = named.filter(({ units }) => cells.every(({ scores }) => scores[units].length === 0));
  // What is judged by default depends on what the suite asks.
  const refused = tolerances === DEFAULT_TOLERANCES ? unjudged.length === named.length : unjudged.length > 0;
  if (!refused) return;
  throw new RondoError(
    'CONFIG_INVALID',
    `--gate: the baseline has no ${[...new Set(unjudged.map(({ units }) => units))].join(', ')} to judge ${unjudged.map(({ name }) => name).join(', ')} by: ask for other metrics with --tolerance, or write the baseline anew of a suite that has some`,
  );
}

/** @throws RondoError CONFIG_INVALID when `what` was something else in the baseline. */
function refuse(what: string, before: string, now: string): void {
  if (before === now) return;
  throw new RondoError(
    'CONFIG_INVALID',
    `--gate: ${what}: ${now} here, ${before} in the baseline: these cannot be compared; write the baseline anew with --json`,
  );
}

/**
 * What can be told of a baseline before anything is measured.
 * @throws RondoError CONFIG_INVALID when it is of another suite, or for more than one B.
 */
export function refuseOtherSuite({ suite: before }: Baseline, now: SuiteIdentity, bs: number): void {
  const named = ({ name, version }: SuiteIdentity) => `${name} version ${version}`;
  refuse('another suite', named(before), named(now));
  refuse('settings, texts or questions of the suite changed', before.digest, now.digest);
  refuse('number of --b', '1', String(bs));
}

interface SuiteIdentity {
  readonly name: string;
  readonly version: number;
  readonly digest: string;
}

function refuseOther({ suite, a, bs }: EvalReport, baseline: Baseline): void {
  refuseOtherSuite(baseline, suite, bs.length);
  refuse('the tokenizer cuts the suite differently', baseline.suite.tokens, suite.tokens);
  const [ofA, wasA] = [lossOf(fullCell(a)), lossOf(fullCell(baseline.a))];
  if (!(Math.abs(ofA - wasA) <= SAME_LOSS * wasA))
    refuse('another A, by its loss', String(wasA), String(ofA));
}

/** Two conversions of one checkpoint have other digests and, on other machines, sums in another order; not another loss. */
const SAME_LOSS = 1e-3;

const lossOf = ({ scores }: { readonly scores: Pick<Scores, 'windows'> }): number =>
  scores.windows.reduce((sum, { nll }) => sum + nll, 0);

/**
 * `metric=amount`, separated by commas; a percent sign makes it a share of the baseline's value. What was said `earlier` stays.
 * @throws RondoError CONFIG_INVALID for what is malformed, and for a metric that is named twice.
 */
export function parseTolerances(text: string, earlier: Tolerances = {}): Tolerances {
  const names = new Set<string>(METRICS.map(({ name }) => name));
  const found: Partial<Record<string, Tolerance>> = { ...earlier };
  for (const part of text.split(',')) {
    const match = /^([A-Za-z]+)=(\d*\.?\d+)(%?)$/.exec(part);
    const [, name = '', amount = '', percent = ''] = match ?? [];
    if (!match || !names.has(name)) {
      throw new RondoError(
        'CONFIG_INVALID',
        `--tolerance ${part || "''"}: expected metric=amount or metric=percent%, separated by commas, such as perplexity=1%,acc=0.02; metrics are ${[...names].join(', ')}`,
      );
    }
    if (found[name]) {
      throw new RondoError(
        'CONFIG_INVALID',
        `--tolerance ${part}: ${name} has a tolerance already: name it once`,
      );
    }
    const relative = percent === '%';
    found[name] = { amount: relative ? Number(amount) / 100 : Number(amount), relative };
  }
  return found;
}

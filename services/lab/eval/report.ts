import { thisCommit } from '../bench/commit.ts';
import { describeMachine, type Machine, thisMachine } from '../bench/machine.ts';
import type { Row } from '../bench/suite.ts';
import { terminalTable } from '../bench/table.ts';
import { bootstrap, type Estimate } from './bootstrap.ts';
import type { Cell, ExitChoice } from './cells.ts';
import type { Evaluation, Variant } from './evaluation.ts';
import { METRICS, type Metric, metricOf, wholeValue } from './metrics.ts';
import type { EvalSuite, SuiteSettings } from './suite.ts';

/** Everything that an evaluation found; `--json` writes it as it is, with null for what is no finite number. */
export interface EvalReport {
  /** Of this format. */
  readonly schemaVersion: 1;
  readonly suite: {
    readonly name: string;
    readonly version: number;
    /** Equal digests: the same settings, texts and questions. */
    readonly digest: string;
    /** Equal digests: tokenizers that read them alike. */
    readonly tokens: string;
  };
  readonly machine: Machine;
  /** The commit of Rondo; `+changes` when the checkout differed from it. */
  readonly commit: string;
  /** ISO 8601. */
  readonly date: string;
  readonly confidence: number;
  readonly a: Variant;
  readonly bs: readonly Variant[];
  readonly differences: readonly Difference[];
}

/** What B loses or gains on A in one metric: B − A with its interval, paired by unit. */
export interface Difference {
  /** Index in `bs`. */
  readonly b: number;
  readonly exit: ExitChoice;
  readonly metric: Metric['name'];
  readonly ofA: number;
  readonly ofB: number;
  readonly difference: Estimate;
}

/** The cell of all passes. */
export const fullCell = <Of extends Pick<Cell, 'exit'>>({
  cells,
  maxDepth,
}: {
  readonly cells: readonly Of[];
  readonly maxDepth: number;
}): Of => cells.find(({ exit }) => exit.kind === 'depth' && exit.passes === maxDepth)!;

/** A way of running as it is called in every report: a threshold that was measured is another one for each model. */
export function exitName(exit: ExitChoice): string {
  if (exit.kind === 'depth') return `depth ${exit.passes}`;
  const { policy, threshold, saving } = exit;
  return saving === undefined ? `${policy} ${threshold}` : `${policy} saving ${saving}`;
}

/** The name of a way of running, with its threshold. */
export const exitText = (exit: ExitChoice): string =>
  exit.kind === 'threshold' && exit.saving !== undefined
    ? `${exitName(exit)}: ${Number(exit.threshold.toPrecision(4))}`
    : exitName(exit);

/** Differences of every B, run in every way, from A with all its passes. */
export function differencesOf({ a, bs }: Evaluation, settings: SuiteSettings): Difference[] {
  const whole = fullCell(a).scores;
  const options = { ...settings.bootstrap, seed: settings.seed };
  return bs.flatMap((variant, b) =>
    variant.cells.flatMap(({ exit, scores }) =>
      METRICS.flatMap((metric) => {
        const units = scores[metric.units].length;
        if (units === 0) return [];
        // Thresholds are tried on the first windows only.
        const ofA = { ...whole, [metric.units]: whole[metric.units].slice(0, units) };
        const difference = bootstrap(
          units,
          (drawn) => metric.of(scores, drawn) - metric.of(ofA, drawn),
          options,
        );
        const [valueA, valueB] = [wholeValue(metric, ofA), wholeValue(metric, scores)];
        return [{ b, exit, metric: metric.name, ofA: valueA, ofB: valueB, difference }];
      }),
    ),
  );
}

/** Adds to an evaluation what a reader needs to check it. */
export async function evalReport(
  evaluation: Evaluation,
  { settings, digest }: EvalSuite,
): Promise<EvalReport> {
  const { a, bs, protocol } = evaluation;
  return {
    schemaVersion: 1,
    suite: { name: settings.name, version: settings.version, digest, tokens: protocol.tokens },
    machine: thisMachine(),
    commit: await thisCommit(),
    date: new Date().toISOString(),
    confidence: settings.bootstrap.confidence,
    a: withShortFault(a),
    bs: bs.map(withShortFault),
    differences: differencesOf(evaluation, settings),
  };
}

/** All that a server wrote before it ended is for whoever runs it, not for whoever reads of it. */
const withShortFault = (variant: Variant): Variant =>
  variant.speedFault === undefined
    ? variant
    : { ...variant, speedFault: variant.speedFault.split('\n', 1)[0]!.replace(/:$/, '') };

/** The report for a terminal. */
export function evalText(report: EvalReport): string {
  const { suite, a, bs, differences, confidence } = report;
  const lines = [
    `suite ${suite.name} version ${suite.version}, ${suite.digest.slice(0, 12)}\n\n`,
    terminalTable([a, ...bs].flatMap((variant, at) => cellRows(variant, at === 0 ? 'A' : `B${at}`))),
    `\nB − A with all passes, and where it lies with ${confidence * 100} % confidence\n\n`,
    terminalTable(
      differences
        .filter(({ b, exit }) => exit === fullCell(bs[b]!).exit)
        .map(({ b, metric, ofA, ofB, difference: { value, low, high } }) => ({
          model: `B${b + 1}`,
          metric: metricOf(metric).title,
          A: digits(ofA),
          B: digits(ofB),
          'B − A': digits(value),
          low: digits(low),
          high: digits(high),
        })),
    ),
    ...speedText([a, ...bs]),
    `\n${describeMachine(report.machine)} · commit ${report.commit}\n`,
  ];
  return lines.join('');
}

function speedText(variants: readonly Variant[]): string[] {
  const models = variants.map(
    (variant, at) => [variant, `${at === 0 ? 'A' : `B${at}`} ${variant.name}`] as const,
  );
  const rows = models.flatMap(([variant, model]) => speedRows(variant, model));
  const notes = models.flatMap(([variant, model]) => speedNotes(variant, model));
  if (rows.length + notes.length === 0) return [];
  return [
    `\nserved by one worker, a prompt and an answer as long as the suite's greedy texts\n\n`,
    terminalTable(rows),
    ...notes.map((note) => `${note}\n`),
  ];
}

/** What a reader of `speedRows` would otherwise look for in vain. */
export function speedNotes({ cells, speed, speedFault }: Variant, model: string): string[] {
  const why = speedFault === undefined ? '' : `: ${speedFault}`;
  if (!speed) return why ? [`speed of ${model} was not measured${why}`] : [];
  const tried = speed.together.length;
  if (tried === 0) return [`speed of ${model} was measured with one client alone${why}`];
  const ways = 1 + cells.filter(({ exit }) => exit.kind === 'threshold').length;
  return tried < ways
    ? [`speed of ${model} was measured in the first ${tried} of ${ways} ways of running${why}`]
    : [];
}

/** Size and speed of a variant, in the ways of running whose speed was measured. Empty without. */
export function speedRows(variant: Variant, model: string): Row[] {
  const { bytes, speed } = variant;
  if (!speed) return [];
  const { memoryMiB, firstTokenMs, aloneTokensPerS, clients, together } = speed;
  const alone = { exit: fullCell(variant).exit, tokensPerS: Number.NaN };
  return (together.length > 0 ? together : [alone]).map(({ exit, tokensPerS }, at) => ({
    model,
    exit: exitText(exit),
    'bundle, MB': (bytes / 1e6).toFixed(1),
    'memory, MiB': memoryMiB.toFixed(0),
    // Of one client only with all passes, which stand first.
    'first token, ms': at === 0 ? tenths(firstTokenMs) : '',
    'tokens/s, 1 client': at === 0 ? tenths(aloneTokensPerS) : '',
    [`tokens/s, ${clients} clients`]: tenths(tokensPerS),
  }));
}

const tenths = (value: number): string => (Number.isNaN(value) ? '-' : value.toFixed(1));

function cellRows(variant: Variant, role: string): Row[] {
  return variant.cells.map(({ exit, scores }) => ({
    model: `${role} ${variant.name}`,
    exit: exitText(exit),
    MB: (variant.bytes / 1e6).toFixed(1),
    ...Object.fromEntries(
      METRICS.filter(({ units }) => scores[units].length > 0).map((metric) => [
        metric.title,
        digits(wholeValue(metric, scores)),
      ]),
    ),
  }));
}

/** Four decimals, more than which no suite of this size can tell. */
export const digits = (value: number): string => {
  if (Number.isNaN(value)) return '-';
  return Number.isFinite(value) ? value.toFixed(4) : value > 0 ? '∞' : '-∞';
};

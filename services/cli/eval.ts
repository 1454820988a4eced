import { realpath, stat } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { openBundle } from '@rondo/bundle';
import { RondoError } from '@rondo/core';
import {
  bundleOrConverted,
  DEFAULT_TOLERANCES,
  digits,
  evalReport,
  evalText,
  evaluate,
  htmlPage,
  type Judgement,
  judge,
  openSuite,
  parseBaseline,
  parseTolerances,
  RondoProcess,
  refuseOtherSuite,
  refuseUnjudged,
  speedNotes,
  type Tolerances,
  type Variant,
} from '@rondo/lab';
import { Command, Option } from 'commander';
import { CACHE } from './cache.ts';
import { evalExact } from './eval-exact.ts';
import { type ExactExit, exactExits } from './exact-exits.ts';
import { tellFailure } from './failure.ts';
import { countOption, fractionOption } from './options.ts';
import { progressBar } from './progress.ts';
import { readText } from './read-text.ts';
import { ResultFile } from './result-file.ts';
import { rondoScript } from './rondo-script.ts';

const DEFAULT_SUITE = fileURLToPath(new URL('../lab/eval/suites/default.yaml', import.meta.url));

interface EvalFlags {
  readonly a?: string;
  readonly b: string[];
  readonly suite: string;
  readonly precision?: 'f32' | 'int8' | 'int4';
  readonly threads: number;
  readonly speed: boolean;
  readonly json?: string;
  readonly html?: string;
  readonly gate?: string;
  readonly tolerance: Tolerances;
  readonly exact?: string;
  readonly exits: ExactExit[];
  readonly least?: number;
}

const several = (value: string, earlier: string[] = []): string[] => [...earlier, value];

/** `rondo eval`: what a bundle is worth beside another. */
export const evalCommand = (): Command =>
  new Command('eval')
    .description('compare bundles with a model: quality at every depth and exit, size, speed')
    .option('--a <model>', 'what to compare with: a bundle, or a checkpoint that is converted unlooped')
    .requiredOption('--b <bundle>', 'a bundle to judge; may be given several times', several)
    .addOption(
      new Option('--suite <file>', 'the protocol, in YAML').default(
        DEFAULT_SUITE,
        'the one that ships with Rondo',
      ),
    )
    .addOption(
      new Option('--precision <kind>', 'how a checkpoint given as --a is converted (default: f32)').choices([
        'f32',
        'int8',
        'int4',
      ]),
    )
    .option('--threads <n>', 'threads of the engine', countOption('--threads'), 2)
    .option('--no-speed', 'do not serve the models to measure their speed: quality alone')
    .option('--json <file>', 'also write everything that was measured as JSON')
    .option('--html <file>', 'also write one page with tables and plots')
    .option('--gate <file>', 'end with 1 when B is worse than the one in this file, which --json has written')
    .addOption(
      new Option(
        '--tolerance <list>',
        'how much worse is not worse: metric=amount or metric=percent%, separated by commas; judges these metrics only; may be given several times',
      )
        // The default goes with the first that is given.
        .argParser((value, earlier: Tolerances) =>
          parseTolerances(value, earlier === DEFAULT_TOLERANCES ? {} : earlier),
        )
        .default(DEFAULT_TOLERANCES, 'as below'),
    )
    .addOption(
      new Option(
        '--exact <file>',
        'instead: questions with one right answer each, as JSON lines; of the options above with --b, --threads and --json only',
      ).conflicts(['a', 'suite', 'precision', 'speed', 'html', 'gate', 'tolerance']),
    )
    .option(
      '--exits <list>',
      'with --exact: ways to leave the loop, policy:threshold,…; may be given several times',
      exactExits,
      [],
    )
    .option(
      '--least <share>',
      'with --exact: end with 1 when fewer are right with all passes',
      fractionOption('--least', 1),
    )
    .addHelpText(
      'after',
      `
Runs the same texts through A and each B, and reports perplexity, bits per byte, how often B's next token is A's, KL of B from A
and how far B writes A's greedy text, for B as it is after every number of passes. Differences come with intervals from
a bootstrap over windows, questions and texts, in which A and B are paired. Multiple-choice questions are scored as
lm-evaluation-harness scores them. Besides, rows after the prompt are decoded with their exits live, at each of the suite's thresholds: given,
or measured on the model's own signals so that about a given share of its passes is saved (services/lab/eval/suites/exits.yaml).

Then each model is served by one worker and loaded over HTTP, three seconds for each way of running, at most twelve: tokens/s, time to first token and
memory. No gate judges these. One that cannot be measured, or is broken off with Ctrl-C, is missing from the report with those of its
model that were to come after it, and nothing else.

--gate passes a metric when the whole interval of how much worse B is than the baseline's B lies within the tolerance. By default
perplexity and bits per byte may rise by 1 %, agreement and accuracies fall by 0.02 and KL rise by 0.01. Another suite, text or
question, or a tokenizer that cuts them differently, is an error, and so is a tolerance for what the suite does not measure.

--exact asks questions as a chat would, {"task": …, "question": …, "answer": …} a line, and tells the share that greedy decoding
answers word by word, for each task, after every number of passes and at each of --exits, whose signals the bundle must have: \`rondo inspect\` names them.
A bundle that always runs every pass has no exits.

Examples:
  rondo eval --a .cache/checkpoints/smollm2-135m-instruct --b bundles/looped --json baseline.json
  rondo eval --a .cache/checkpoints/smollm2-135m-instruct --b bundles/new --gate baseline.json --tolerance perplexity=2%,acc=0.05
  rondo eval --a bundles/plain --b bundles/rank-8 --b bundles/rank-32 --suite mine.yaml
  rondo eval --exact questions.jsonl --b bundles/looped --exits latent-diff:0.1,confidence:0.9 --least 0.98`,
    )
    .action(runEval);

async function runEval(flags: EvalFlags): Promise<void> {
  refuseIdle(flags);
  await refuseOverwritten(flags);
  if (flags.exact !== undefined) {
    return evalExact({ ...flags, exact: flags.exact }, await readText('--exact', flags.exact));
  }
  const from = flags.a;
  if (from === undefined) {
    throw new RondoError('CONFIG_INVALID', '--a is missing: what to compare with, a bundle or a checkpoint');
  }
  const rondo = flags.speed ? rondoScript('judge quality alone, with --no-speed') : undefined;
  const suite = await openSuite(flags.suite);
  // Before the long work: what would fail after it is told at once.
  await using json = await ResultFile.asked(flags.json);
  await using html = await ResultFile.asked(flags.html);
  const { gate } = flags;
  const baseline = gate === undefined ? undefined : parseBaseline(gate, await readText('--gate', gate));
  if (baseline) {
    refuseOtherSuite(baseline, { ...suite.settings, digest: suite.digest }, flags.b.length);
    refuseUnjudged(baseline, flags.tolerance);
  }
  const bs = [];
  for (const directory of flags.b) bs.push(await openBundle(directory));
  const progress = progressBar('evaluating', 0);
  const interrupt = new AbortController();
  const stop = () => interrupt.abort(new RondoError('CANCELLED', 'eval was stopped'));
  process.once('SIGINT', stop).once('SIGTERM', stop);
  try {
    const a = await bundleOrConverted(from, flags.precision, CACHE, (done, total) =>
      progress.update(done, total, 'converting A'),
    );
    const faults: [Variant, Error][] = [];
    const evaluation = await evaluate({
      a,
      bs,
      suite,
      threads: flags.threads,
      signal: interrupt.signal,
      ...(rondo && {
        launch: (...args: string[]) => RondoProcess.start(rondo, args, { signal: interrupt.signal }),
      }),
      onProgress: (done, total, title) => progress.update(done, total, title),
      onSpeedFault: (variant, fault) => faults.push([variant, fault]),
    });
    const stopped = interrupt.signal.aborted;
    progress.stop();
    for (const [variant, fault] of faults) tellFailure(fault, speedNotes(variant, variant.directory).join());
    const report = await evalReport(evaluation, suite);
    process.stdout.write(evalText(report));
    await json?.write(`${JSON.stringify(report)}\n`);
    if (html) await html.write(await htmlPage(report));
    if (baseline) pass(judge(report, baseline, flags.tolerance, suite.settings));
    if (stopped) interrupt.signal.throwIfAborted();
  } finally {
    progress.stop();
    process.off('SIGINT', stop).off('SIGTERM', stop);
  }
}

/** Options that do nothing without another would leave a script green. @throws RondoError CONFIG_INVALID naming the option */
function refuseIdle({ exact, exits, least, gate, tolerance }: EvalFlags): void {
  const refused = (option: string, why: string): never => {
    throw new RondoError('CONFIG_INVALID', `${option}: only with ${why}`);
  };
  if (exact === undefined && exits.length > 0) refused('--exits', '--exact; a suite names its own exits');
  if (exact === undefined && least !== undefined)
    refused('--least', '--exact, whose right answers it counts');
  if (gate === undefined && tolerance !== DEFAULT_TOLERANCES) {
    refused('--tolerance', '--gate, whose bounds it sets');
  }
}

/** A report must replace nothing that the run reads or writes besides. @throws RondoError CONFIG_INVALID naming both options */
async function refuseOverwritten({ gate, exact, suite, json, html }: EvalFlags): Promise<void> {
  const named = new Map<string, string>();
  for (const [option, path] of [
    ['--gate', gate],
    ['--exact', exact],
    ['--suite', suite],
    ['--json', json],
    ['--html', html],
  ] as const) {
    const file = path && (await fileAt(path));
    if (!file) continue;
    const other = named.get(file);
    if (other !== undefined && (option === '--json' || option === '--html')) {
      throw new RondoError(
        'CONFIG_INVALID',
        `${option} ${path}: the file of ${other}, which a report must not replace: name another`,
      );
    }
    named.set(file, option);
  }
}

/** Where the file at `path` really lies, or would; undefined for what is no plain file and is never replaced, such as /dev/stdout. */
async function fileAt(path: string): Promise<string | undefined> {
  const found = await stat(path).catch(() => undefined);
  if (found) return found.isFile() ? realpath(path) : undefined;
  const folder = resolve(dirname(path));
  return join(await realpath(folder).catch(() => folder), basename(path));
}

/** @throws RondoError QUALITY_WORSE naming each metric that does not pass, its interval and its bound. */
function pass(judgements: readonly Judgement[]): void {
  const failed = judgements.filter(({ passed }) => !passed);
  if (failed.length === 0) {
    process.stdout.write(`gate passed: ${judgements.length} metrics within their bounds\n`);
    return;
  }
  const lines = failed.map(
    ({ metric, exit, baseline, value, worse, bound }) =>
      `\n  ${metric} at ${exit}: ${digits(value)}, baseline ${digits(baseline)}: worse by ${digits(worse.value)}, between ${digits(worse.low)} and ${digits(worse.high)}, at most ${digits(bound)} allowed`,
  );
  throw new RondoError('QUALITY_WORSE', `B is not shown to be as good as the baseline:${lines.join('')}`);
}

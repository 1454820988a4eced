import { writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { openBundle } from '@rondo/bundle';
import { RondoError } from '@rondo/core';
import { bundleOrConverted, evalReport, evalText, evaluate, openSuite } from '@rondo/lab';
import { Command, Option } from 'commander';
import { CACHE } from './cache.ts';
import { countOption } from './options.ts';
import { progressBar } from './progress.ts';

const DEFAULT_SUITE = fileURLToPath(new URL('../lab/eval/suites/default.yaml', import.meta.url));

interface EvalFlags {
  readonly a: string;
  readonly b: string[];
  readonly suite: string;
  readonly precision: 'f32' | 'int8' | 'int4';
  readonly threads: number;
  readonly json?: string;
}

const several = (value: string, earlier: string[] = []): string[] => [...earlier, value];

/** `rondo eval`: what a bundle is worth beside another. */
export const evalCommand = (): Command =>
  new Command('eval')
    .description('compare bundles with a model: quality at every depth, speed, size')
    .requiredOption(
      '--a <model>',
      'what to compare with: a bundle, or a checkpoint that is converted unlooped',
    )
    .requiredOption('--b <bundle>', 'a bundle to judge; may be given several times', several)
    .option('--suite <file>', 'the protocol, in YAML', DEFAULT_SUITE)
    .addOption(
      new Option('--precision <kind>', 'how a checkpoint given as --a is converted')
        .choices(['f32', 'int8', 'int4'])
        .default('f32'),
    )
    .option('--threads <n>', 'threads of the engine', countOption('--threads'), 2)
    .option('--json <file>', 'also write everything that was measured as JSON')
    .addHelpText(
      'after',
      `
Runs the same texts through A and each B, and reports perplexity, bits per byte, how often B's next token is A's, KL of B from A
and how far B writes A's greedy text, for B as it is after every number of passes. Differences come with intervals from
a bootstrap over windows, in which A and B are paired.

Example:
  rondo eval --a .cache/checkpoints/smollm2-135m-instruct --b bundles/looped --json looped.json`,
    )
    .action(runEval);

async function runEval(flags: EvalFlags): Promise<void> {
  const suite = await openSuite(flags.suite);
  const bs = [];
  for (const directory of flags.b) bs.push(await openBundle(directory));
  const progress = progressBar('evaluating', 0);
  const interrupt = new AbortController();
  const stop = () => interrupt.abort(new RondoError('CANCELLED', 'eval was stopped'));
  process.once('SIGINT', stop).once('SIGTERM', stop);
  try {
    const a = await bundleOrConverted(flags.a, flags.precision, CACHE, (done, total) =>
      progress.update(done, total, 'converting A'),
    );
    const evaluation = await evaluate({
      a,
      bs,
      suite,
      threads: flags.threads,
      signal: interrupt.signal,
      onProgress: (done, total, title) => progress.update(done, total, title),
    });
    progress.stop();
    const report = await evalReport(evaluation, suite);
    process.stdout.write(evalText(report));
    if (flags.json !== undefined) await writeFile(flags.json, `${JSON.stringify(report)}\n`);
  } finally {
    progress.stop();
    process.off('SIGINT', stop).off('SIGTERM', stop);
  }
}

import { fileURLToPath } from 'node:url';
import { RondoError } from '@rondo/core';
import {
  type Cell,
  type ChaosChoice,
  checkDocuments,
  isWhole,
  RondoProcess,
  reportText,
  runSuite,
  SUITES,
  type Suite,
  writeDocuments,
} from '@rondo/lab';
import { Command, Option } from 'commander';
import { CACHE } from './cache.ts';
import { cellsOption, countOption, fractionOption } from './options.ts';
import { ResultFile } from './result-file.ts';
import { rondoScript } from './rondo-script.ts';

const DOCS = fileURLToPath(new URL('../../docs/', import.meta.url));

interface BenchFlags {
  readonly quick: boolean;
  readonly cells?: readonly Cell[];
  readonly bundle?: string;
  readonly minutes?: number;
  readonly faults?: number;
  readonly placement?: 'homed' | 'staged';
  readonly toZero?: boolean;
  readonly json?: string;
  readonly seed: number;
  readonly threads: number;
  readonly docs?: boolean;
  readonly list: boolean;
}

/** `rondo bench`: measures a suite, holds it against its goals and writes it down. */
export const benchCommand = (): Command =>
  new Command('bench')
    .description('measure one suite and hold it against its goals')
    .argument('[suite]', SUITES.map(({ name }) => name).join(', '))
    .option('--quick', 'end within five minutes: fewer cells', false)
    .option(
      '--cells <list>',
      'measure these cells only, sequences x context, each at least once to the end (peers)',
      cellsOption('--cells'),
    )
    .option('--minutes <n>', 'how long faults come (chaos)', fractionOption('--minutes', 24 * 60))
    .option('--faults <n>', 'how many faults come in that time (chaos)', countOption('--faults'))
    .addOption(new Option('--placement <kind>', 'how routes are cut (chaos)').choices(['homed', 'staged']))
    .option('--to-zero', 'also leave no worker at all, for a while (chaos)')
    .option('--bundle <dir>', 'the bundle to serve instead of a tiny one made on the spot (chaos)')
    .option('--json <file>', 'also write everything that was measured as JSON')
    .option('--seed <n>', 'seed of all random choices', countOption('--seed'), 1)
    .option('--threads <n>', 'threads of each engine', countOption('--threads'), 2)
    .option('--list', 'print the names of the suites and end', false)
    .option(
      '--docs',
      'write the page under docs that shows the suite, and its plots, of a run that is not whole too',
    )
    .option('--no-docs', 'leave the documents as they are')
    .addHelpText(
      'after',
      `
Suites:
${SUITES.map(({ name, summary }) => `  ${name.padEnd(10)} ${summary}`).join('\n')}

What a suite needs is installed and converted into .cache the first time, which comes on top of its time.
Prints a table, then each goal as met or NOT MET; a goal that is not met is a finding, not a failure: the command ends
with 0. A run is not whole with --quick, --cells or any option marked (chaos): it leaves the documents as they are unless
--docs. Run it on a machine that does nothing else. \`make bench\` runs all suites.

Examples:
  rondo bench peers --quick
  rondo bench peers --quick --cells 1x128,1x512,16x1024
  rondo bench peers --json peers.json
  rondo bench depth --seed 7 --no-docs
  rondo bench chaos --minutes 2 --seed 12`,
    )
    .action(bench);

async function bench(name: string | undefined, flags: BenchFlags): Promise<void> {
  if (flags.list) {
    process.stdout.write(SUITES.map((suite) => `${suite.name}\n`).join(''));
    return;
  }
  await measure(findSuite(name), flags);
}

async function measure(suite: Suite, flags: BenchFlags): Promise<void> {
  const { name } = suite;
  if (flags.cells && !suite.takesCells) {
    const takers = SUITES.filter(({ takesCells }) => takesCells).map((taker) => taker.name);
    throw new RondoError('CONFIG_INVALID', `--cells: ${name} has no cells to choose; only ${takers} has`);
  }
  const chaos = chaosChoice(flags);
  if (chaos && !suite.takesChaos) {
    throw new RondoError(
      'CONFIG_INVALID',
      `--bundle, --minutes, --faults, --placement, --to-zero: ${name} knows no such choice; only chaos does`,
    );
  }
  const plan = { quick: flags.quick, ...(flags.cells && { cells: flags.cells }), ...(chaos && { chaos }) };
  const documents = flags.docs ?? isWhole(plan);
  const rondo = rondoScript('measure in a checkout of Rondo');
  if (documents) await checkDocuments(suite.name, DOCS, suite.page);
  await using json = await ResultFile.asked(flags.json);
  const interrupt = new AbortController();
  const stop = () => interrupt.abort(new RondoError('CANCELLED', `bench ${name} was stopped`));
  process.once('SIGINT', stop).once('SIGTERM', stop);
  const { signal } = interrupt;
  const report = await runSuite(suite, {
    ...plan,
    seed: flags.seed,
    threads: flags.threads,
    cache: CACHE,
    signal,
    progress: (text) => process.stderr.write(`${name}: ${text}\n`),
    launch: (...args) => RondoProcess.start(rondo, args, { signal }),
    launchLogged: (log, ...args) => RondoProcess.start(rondo, args, { signal, log }),
  });
  process.stdout.write(reportText(report));
  await json?.write(`${JSON.stringify(report, null, 2)}\n`);
  if (documents) await writeDocuments(report, DOCS, suite.page);
}

/** What was said about faults; undefined when nothing was. */
function chaosChoice({ bundle, minutes, faults, placement, toZero }: BenchFlags): ChaosChoice | undefined {
  const said = Object.entries({ bundle, minutes, faults, placement, toZero }).filter(
    ([, value]) => value !== undefined,
  );
  return said.length > 0 ? Object.fromEntries(said) : undefined;
}

function findSuite(name: string | undefined): Suite {
  const suite = SUITES.find((known) => known.name === name);
  if (suite) return suite;
  throw new RondoError(
    'CONFIG_INVALID',
    `bench ${name ?? "''"}: no such suite: expected one of ${SUITES.map((known) => known.name).join(', ')}`,
  );
}

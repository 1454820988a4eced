import { RondoError } from '@rondo/core';
import { linearCosts, TimedEngine } from '@rondo/engine';
import { type RunningWorker, serveEngine, type WorkerOptions } from '@rondo/worker';
import { type Command, Option } from 'commander';
import { countOption, millisecondsOption } from './options.ts';

/** How the timed engines of one process behave. */
export interface TimedFlags {
  readonly engine: 'onnx' | 'timed';
  readonly timedPassMs: number;
  readonly timedRowMs: number;
  readonly timedWorkers: number;
}

/** Adds the options that are there for scale tests only. */
export const addTimedOptions = (command: Command): Command =>
  command
    .addOption(
      new Option(
        '--engine <kind>',
        'onnx: run the bundle; timed: for scale tests only, compute nothing and sleep',
      )
        .choices(['onnx', 'timed'])
        .default('onnx'),
    )
    .option(
      '--timed-pass-ms <ms>',
      'timed engine: what each pass of the block takes',
      millisecondsOption('--timed-pass-ms'),
      4,
    )
    .option(
      '--timed-row-ms <ms>',
      'timed engine: what each row adds to a pass',
      millisecondsOption('--timed-row-ms'),
      0.05,
    )
    .option(
      '--timed-workers <n>',
      'timed engine: workers in this process, each with a port of its own (needs --listen host:0 beyond one)',
      countOption('--timed-workers'),
      1,
    );

/**
 * Starts the timed workers of this process: the bundle gives them shapes and tokens, none of its graphs is loaded.
 * @throws RondoError CONFIG_INVALID when several are to share one port or one address, or for any reason of `serveEngine`.
 */
export async function startTimedWorkers(
  options: WorkerOptions,
  { timedWorkers: count, timedPassMs, timedRowMs }: TimedFlags,
): Promise<RunningWorker[]> {
  const { bundle, listen, advertise, kvBytes } = options;
  if (count > 1 && (advertise !== undefined || !listen.endsWith(':0'))) {
    throw new RondoError(
      'CONFIG_INVALID',
      `--timed-workers ${count}: each needs a port of its own; use --listen host:0 and no --advertise`,
    );
  }
  const costs = linearCosts({ passMs: timedPassMs, rowMs: timedRowMs });
  const start = () => serveEngine(new TimedEngine(bundle.manifest, { costs, kvBytes }), options);
  return Promise.all(Array.from({ length: count }, start));
}

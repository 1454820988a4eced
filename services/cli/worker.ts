import { availableParallelism } from 'node:os';
import { openBundle } from '@rondo/bundle';
import { type Address, address } from '@rondo/core';
import { type RunningWorker, startWorker } from '@rondo/worker';
import { Command } from 'commander';
import { defaultKvMb, KV_HELP } from './kv-memory.ts';
import { addressOption, countOption } from './options.ts';
import { type Chassis, keepWorker, serve } from './serve.ts';
import { startTimedWorkers, type TimedFlags, withTimedOptions } from './timed-worker.ts';

export interface WorkerFlags {
  readonly model: string;
  readonly listen: Address;
  readonly advertise?: Address;
  readonly threads: number;
  readonly kvMb?: number;
}

/** `rondo worker`: one engine that serves passes and whole sequences over gRPC. */
export const workerCommand = (): Command =>
  withTimedOptions(plainWorkerCommand())
    .addHelpText(
      'after',
      `
Prints 'ready <host:port>' once a real pass has run and the port is open. With several timed workers in one process
the addresses are separated by commas.

Examples:
  rondo worker --model bundles/looped --listen 127.0.0.1:7601
  rondo worker --model bundles/looped --listen 0.0.0.0:7600 --advertise worker-1:7600 --kv-mb 4096`,
    )
    .action(worker);

const plainWorkerCommand = (): Command =>
  new Command('worker')
    .description('serve a bundle as one worker of a cluster, over gRPC')
    .requiredOption('--model <bundle>', 'a bundle directory; every worker and the coordinator hold the same')
    .option('--listen <host:port>', 'where to listen', addressOption('--listen'), address('127.0.0.1:7600'))
    .option(
      '--advertise <host:port>',
      'the address others use, when it is not the one listened on',
      addressOption('--advertise'),
    )
    .option('--threads <n>', 'threads of the engine', countOption('--threads'), availableParallelism())
    .option('--kv-mb <n>', `memory for K and V, in MiB ${KV_HELP}`, countOption('--kv-mb'));

const worker = (flags: WorkerFlags & TimedFlags): Promise<void> =>
  serve('worker', async (chassis) => {
    const kvBytes = (flags.kvMb ?? defaultKvMb()) * 2 ** 20;
    const running =
      flags.engine === 'timed'
        ? await startTimedWorkers(flags, kvBytes, chassis)
        : [await startOnnxWorker(flags, kvBytes, chassis)];
    for (const each of running) keepWorker(each, chassis);
    process.stdout.write(`ready ${flags.advertise ?? running.map((each) => each.address).join()}\n`);
  });

const startOnnxWorker = async (
  flags: WorkerFlags,
  kvBytes: number,
  { log, metrics }: Chassis,
): Promise<RunningWorker> =>
  startWorker({
    bundle: await openBundle(flags.model),
    listen: flags.listen,
    advertise: flags.advertise,
    threads: flags.threads,
    kvBytes,
    log,
    metrics,
  });

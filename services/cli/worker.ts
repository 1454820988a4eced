import { availableParallelism } from 'node:os';
import { openBundle } from '@rondo/bundle';
import { type Address, address } from '@rondo/core';
import { startWorker } from '@rondo/worker';
import { Command } from 'commander';
import { addEngineOptions, type EngineFlags, engineOptions } from './engine-options.ts';
import { addressOption, countOption } from './options.ts';
import { keepWorker, serve } from './serve.ts';

interface WorkerFlags extends EngineFlags {
  readonly model: string;
  readonly listen: Address;
  readonly advertise?: Address;
  readonly threads: number;
}

/** `rondo worker`: one engine that serves passes and whole sequences over gRPC. */
export const workerCommand = (): Command =>
  addEngineOptions(new Command('worker'))
    .description('serve a bundle as one worker of a cluster, over gRPC')
    .requiredOption('--model <bundle>', 'a bundle directory; every worker and the coordinator hold the same')
    .option('--listen <host:port>', 'where to listen', addressOption('--listen'), address('127.0.0.1:7600'))
    .option(
      '--advertise <host:port>',
      'the address others use, when it is not the one listened on',
      addressOption('--advertise'),
    )
    .option('--threads <n>', 'threads of the engine', countOption('--threads'), availableParallelism())
    .addHelpText(
      'after',
      `
Prints 'ready <host:port>' once a real pass has run and the port is open.

Examples:
  rondo worker --model bundles/looped --listen 127.0.0.1:7601
  rondo worker --model bundles/looped --listen 0.0.0.0:7600 --advertise worker-1:7600 --kv-mb 4096`,
    )
    .action(worker);

const worker = (flags: WorkerFlags): Promise<void> =>
  serve('worker', async (chassis) => {
    const running = await startWorker({
      bundle: await openBundle(flags.model),
      listen: flags.listen,
      advertise: flags.advertise,
      threads: flags.threads,
      ...engineOptions(flags),
      log: chassis.log,
      metrics: chassis.metrics,
    });
    keepWorker(running, chassis);
    process.stdout.write(`ready ${flags.advertise ?? running.address}\n`);
  });

import { availableParallelism } from 'node:os';
import { openBundle } from '@rondo/bundle';
import { type Address, address } from '@rondo/core';
import { ACTIVATIONS, type Activations } from '@rondo/wire';
import { startWorker } from '@rondo/worker';
import { Command, Option } from 'commander';
import { ADMIN_HELP, type AdminFlags, addAdminOptions, announceWorkers, openAdmin } from './admin-options.ts';
import { announce, checkReachable } from './announce.ts';
import { addEngineOptions, type EngineFlags, engineOptions } from './engine-options.ts';
import { addNatsOptions, NATS_HELP, type NatsFlags, openNatsLink } from './nats-options.ts';
import { addressOption, countOption } from './options.ts';
import { type Chassis, keepWorker, serve } from './serve.ts';
import { addTimedOptions, startTimedWorkers, type TimedFlags } from './timed-worker.ts';
import { addTlsOptions, openTls, TLS_HELP, type TlsFlags } from './tls-options.ts';
import { addOtlpOptions, OTLP_HELP, type OtlpFlags, openTelemetry } from './trace-options.ts';

export interface WorkerFlags extends EngineFlags, TlsFlags, AdminFlags, NatsFlags, OtlpFlags {
  readonly model: string;
  readonly listen: Address;
  readonly advertise?: Address;
  readonly threads: number;
  readonly activations: Activations;
}

/** How states travel; `run` offers the same choice. */
export const activationsOption = (): Option =>
  new Option(
    '--activations <precision>',
    'how states travel between workers, the same on all: f32 exactly; f16 half the bytes, rounded to 11 bits',
  )
    .choices(ACTIVATIONS)
    .default('f32');

/** `rondo worker`: one engine that serves passes and whole sequences over gRPC. */
export const workerCommand = (): Command =>
  addTimedOptions(
    addOtlpOptions(addNatsOptions(addAdminOptions(addTlsOptions(addEngineOptions(new Command('worker')))))),
  )
    .description('serve a bundle as one worker of a cluster, over gRPC')
    .requiredOption('--model <bundle>', 'a bundle directory; every worker and the coordinator hold the same')
    .option('--listen <host:port>', 'where to listen', addressOption('--listen'), address('127.0.0.1:7600'))
    .option(
      '--advertise <host:port>',
      'the address others use, when it is not the one listened on',
      addressOption('--advertise'),
    )
    .option('--threads <n>', 'threads of the engine', countOption('--threads'), availableParallelism())
    .addOption(activationsOption())
    .addHelpText(
      'after',
      `
Prints 'ready <host:port>' once a real pass has run and the port is open. With several timed workers in one process
the addresses are separated by commas.
${TLS_HELP}
${ADMIN_HELP}
${NATS_HELP}
${OTLP_HELP}
A worker sends a span for each step that ran rows of a traced request, linked with that.

Examples:
  rondo worker --model bundles/looped --listen 127.0.0.1:7601
  rondo worker --model bundles/looped --listen 0.0.0.0:7600 --advertise worker-1:7600 --kv-mb 4096
  rondo worker --model bundles/looped --listen 0.0.0.0:7600 --advertise worker-1:7600 --nats nats://nats:4222`,
    )
    .action(worker);

const worker = (flags: WorkerFlags & TimedFlags): Promise<void> =>
  serve('worker', (chassis) => start(flags, chassis), { drainMs: flags.drainSeconds * 1000 });

async function start(flags: WorkerFlags & TimedFlags, chassis: Chassis): Promise<void> {
  const admin = await openAdmin(flags, chassis);
  if (flags.nats) checkReachable(flags.listen, flags.advertise);
  const nats = await openNatsLink(flags, 'worker', chassis);
  const options = {
    bundle: await openBundle(flags.model),
    listen: flags.listen,
    advertise: flags.advertise,
    tls: await openTls(flags, chassis),
    threads: flags.threads,
    activations: flags.activations,
    ...engineOptions(flags),
    telemetry: await openTelemetry('rondo-worker', flags, chassis),
    log: chassis.log,
    metrics: chassis.metrics,
  };
  const running =
    flags.engine === 'timed' ? await startTimedWorkers(options, flags) : [await startWorker(options)];
  for (const each of running) {
    if (nats) announce(nats, each, chassis, () => keepWorker(each, chassis));
    else keepWorker(each, chassis);
  }
  announceWorkers(admin, running, chassis);
  process.stdout.write(`ready ${flags.advertise ?? running.map((each) => each.address).join()}\n`);
}

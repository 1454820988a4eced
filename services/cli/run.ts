import { availableParallelism } from 'node:os';
import type { Bundle } from '@rondo/bundle';
import { type NamedBundle, openText, type Placement, startCoordinator } from '@rondo/coordinator';
import { type Address, address } from '@rondo/core';
import type { Activations } from '@rondo/wire';
import { startWorker } from '@rondo/worker';
import { Command } from 'commander';
import {
  ADMIN_HELP,
  type AdminFlags,
  addAdminOptions,
  announceCoordinator,
  openAdmin,
} from './admin-options.ts';
import { addClientOptions, CLIENT_HELP, type ClientFlags, clientOptions } from './client-options.ts';
import { placementOption } from './coordinator.ts';
import { addEngineOptions, type EngineFlags, engineOptions } from './engine-options.ts';
import { firstSteps, type Speech } from './first-steps.ts';
import { type ModelFlag, modelsOption, openModels } from './model-options.ts';
import { addressOption, countOption } from './options.ts';
import { addRouteOptions, ROUTE_HELP, type RouteFlags, spreadOf } from './route-options.ts';
import { type Chassis, keepWorker, serve } from './serve.ts';
import { addTraceOptions, openTelemetry, TRACE_HELP, type TraceFlags } from './trace-options.ts';
import { activationsOption } from './worker.ts';

interface RunFlags extends EngineFlags, ClientFlags, AdminFlags, RouteFlags, TraceFlags {
  readonly model: ModelFlag[];
  readonly listen: Address;
  readonly workers: number;
  readonly threads?: number;
  readonly placement: Placement;
  readonly activations: Activations;
}

/** `rondo run`: a coordinator and its workers in one process, talking over loopback as a cluster does. */
export const runCommand = (): Command =>
  addTraceOptions(addRouteOptions(addAdminOptions(addClientOptions(addEngineOptions(new Command('run'))))))
    .description('serve a bundle on this machine: coordinator and workers in one process')
    .requiredOption(
      '--model <[name=]bundle>',
      'a bundle directory, made by rondo convert; repeat the option for each model',
      modelsOption('--model'),
    )
    .option('--listen <host:port>', 'where to listen', addressOption('--listen'), address('127.0.0.1:8080'))
    .option('--workers <n>', 'workers of each model, each with its own engine', countOption('--workers'), 2)
    .option(
      '--threads <n>',
      'threads of each engine (default: the processors, shared out)',
      countOption('--threads'),
    )
    .addOption(placementOption())
    .addOption(activationsOption())
    .addHelpText(
      'after',
      `
Each worker has an engine, --threads and --kv-mb of its own. A request runs
all its passes on one worker; with --placement auto its depths are split over several when none has the K/V memory for it,
or when its prompt is long and they are idle. --activations says in what precision its states travel between them then.
Workers here end with the process: for workers that may fall over, be moved or be on other machines, start
rondo worker and rondo coordinator.
${CLIENT_HELP}
${ADMIN_HELP}
${ROUTE_HELP}
${TRACE_HELP}

Examples:
  rondo run --model bundles/looped
  rondo run --model bundles/looped --listen 0.0.0.0:8080 --workers 1 --kv-mb 2048
  rondo run --model bundles/looped --workers 3 --threads 2 --placement staged --activations f16
  rondo run --model orig=bundles/orig --model looped=bundles/looped --workers 1`,
    )
    .action(run);

const run = (flags: RunFlags): Promise<void> =>
  serve('run', (chassis) => start(flags, chassis), {
    quiet: true,
    drainMs: flags.drainSeconds * 1000,
  });

async function start(flags: RunFlags, chassis: Chassis): Promise<void> {
  const { log, metrics, lifecycle } = chassis;
  const admin = await openAdmin(flags, chassis);
  const models = await openModels(flags.model);
  const count = models.length * flags.workers;
  const threads = flags.threads ?? Math.max(1, Math.floor(availableParallelism() / count));
  const telemetry = await openTelemetry('rondo', flags, chassis);
  const startOne = async (index: number): Promise<Address> => {
    const worker = await startWorker({
      bundle: models[Math.floor(index / flags.workers)]!.bundle,
      listen: address('127.0.0.1:0'),
      workerId: `worker-${index + 1}`,
      threads,
      activations: flags.activations,
      ...engineOptions(flags),
      telemetry,
      log,
      metrics,
    });
    keepWorker(worker, chassis);
    return worker.address;
  };
  const workers = await Promise.all(Array.from({ length: count }, (_, index) => startOne(index)));
  const coordinator = await startCoordinator({
    telemetry,
    models,
    spread: spreadOf(flags),
    workers,
    listen: flags.listen,
    placement: flags.placement,
    drainMs: flags.drainSeconds * 1000,
    adminApart: admin !== undefined,
    ...(await clientOptions(flags, chassis)),
    log,
    metrics,
  });
  lifecycle.onStop('coordinator', () => coordinator.stop());
  announceCoordinator(admin, coordinator, chassis);
  const keyed = flags.apiKeys !== undefined;
  const [{ name, bundle }] = models as [NamedBundle];
  const steps = firstSteps(coordinator.url, name, await speechOf(bundle), keyed, bundle.manifest.examples);
  process.stdout.write(`ready ${coordinator.url}\n${steps}`);
}

async function speechOf(bundle: Bundle): Promise<Speech> {
  const codec = await openText(bundle);
  if (codec === undefined) return 'ids';
  return codec.chatTemplate === undefined ? 'text' : 'messages';
}

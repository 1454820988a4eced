import {
  type NamedBundle,
  NatsRoster,
  PLACEMENTS,
  type Placement,
  startCoordinator,
} from '@rondo/coordinator';
import { type Address, address, LIMITS } from '@rondo/core';
import { AnnouncementBoard, type NatsLink } from '@rondo/wire';
import { Command, Option } from 'commander';
import {
  ADMIN_HELP,
  type AdminFlags,
  addAdminOptions,
  announceCoordinator,
  openAdmin,
} from './admin-options.ts';
import { addClientOptions, CLIENT_HELP, type ClientFlags, clientOptions } from './client-options.ts';
import { drainOption } from './drain-option.ts';
import { type ModelFlag, modelsOption, openModels } from './model-options.ts';
import { addNatsOptions, NATS_HELP, type NatsFlags, openNatsLink } from './nats-options.ts';
import { addressesOption, addressOption, secondsOption } from './options.ts';
import { addRouteOptions, ROUTE_HELP, type RouteFlags, spreadOf } from './route-options.ts';
import { type Chassis, serve } from './serve.ts';
import { addTlsOptions, openTls, TLS_HELP, type TlsFlags } from './tls-options.ts';
import { addTraceOptions, openTelemetry, TRACE_HELP, type TraceFlags } from './trace-options.ts';

/** How routes are cut; `run` offers the same choice. */
export const placementOption = (): Option =>
  new Option(
    '--placement <kind>',
    'auto: whatever suits a request; homed: all its passes on one worker; staged: split over all workers',
  )
    .choices(PLACEMENTS)
    .default('auto');

interface CoordinatorFlags extends TlsFlags, ClientFlags, AdminFlags, NatsFlags, RouteFlags, TraceFlags {
  readonly model: ModelFlag[];
  readonly worker?: Address[];
  readonly listen: Address;
  readonly placement: Placement;
  readonly drainSeconds: number;
  readonly batchSilenceSeconds: number;
}

/** `rondo coordinator`: the HTTP API over workers that run elsewhere. */
export const coordinatorCommand = (): Command =>
  addRouteOptions(
    addTraceOptions(
      addNatsOptions(addAdminOptions(addClientOptions(addTlsOptions(new Command('coordinator'))))),
    ),
  )
    .description(
      'serve the OpenAI API over HTTP with the workers given, or with all that announce themselves',
    )
    .requiredOption(
      '--model <[name=]bundle>',
      'a bundle directory that workers hold; only its tokenizer is used; repeat the option for each model',
      modelsOption('--model'),
    )
    .option('--worker <host:port>', 'a worker; repeat the option for each', addressesOption('--worker'))
    .option('--listen <host:port>', 'where to listen', addressOption('--listen'), address('127.0.0.1:8080'))
    .addOption(placementOption())
    .addOption(drainOption('running answers may take to end', LIMITS.answerDrainMaxMs))
    .option(
      '--batch-silence-seconds <n>',
      'a line of a batch whose coordinator is silent so long goes to another; the same at all coordinators',
      secondsOption('--batch-silence-seconds', LIMITS.batchSilenceMaxMs / 1000, 1),
      LIMITS.batchSilenceMs / 1000,
    )
    .addHelpText(
      'after',
      `
Prints 'ready <url>' once all workers given are linked and the port is open. A worker given that cannot be reached, or
that holds no bundle given, ends the start with an error that says so; one that announces itself over NATS may come, go
and come back. Without --nats at least one --worker is needed. Of a bundle it reads bundle.json and the tokenizer alone.
${CLIENT_HELP}
${ADMIN_HELP}
The public port then keeps the API, /health (the status alone), /healthz and /live; without it, it tells all.
${TLS_HELP}
${NATS_HELP}
${TRACE_HELP}

With several models each worker serves the one that it holds, a request names one of them, and one without workers is
answered 503 while the others serve.
${ROUTE_HELP}

Files and batches (/v1/files, /v1/batches) are kept in NATS, too, and shared by all coordinators there.

Examples:
  rondo coordinator --model bundles/looped --worker 127.0.0.1:7601 --worker 127.0.0.1:7602 --placement staged
  rondo coordinator --model bundles/looped --nats nats://nats:4222
  rondo coordinator --model orig=bundles/orig --model looped=bundles/looped \\
    --route chat=orig:90,looped:10 --nats nats://nats:4222`,
    )
    .action(coordinator);

const coordinator = (flags: CoordinatorFlags): Promise<void> =>
  serve('coordinator', (chassis) => start(flags, chassis), { drainMs: flags.drainSeconds * 1000 });

async function start(flags: CoordinatorFlags, chassis: Chassis): Promise<void> {
  const { log, metrics, lifecycle } = chassis;
  const admin = await openAdmin(flags, chassis);
  const models = await openModels(flags.model, 'text');
  const nats = await openNatsLink(flags, 'coordinator', chassis);
  const roster = nats && natsRoster(nats, models, chassis);
  const running = await startCoordinator({
    models,
    spread: spreadOf(flags),
    workers: flags.worker ?? [],
    roster,
    listen: flags.listen,
    placement: flags.placement,
    drainMs: flags.drainSeconds * 1000,
    nats,
    telemetry: await openTelemetry('rondo-coordinator', flags, chassis),
    batchSilenceMs: flags.batchSilenceSeconds * 1000,
    tls: await openTls(flags, chassis),
    adminApart: admin !== undefined,
    ...(await clientOptions(flags, chassis)),
    log,
    metrics,
  });
  lifecycle.onStop('coordinator', () => running.stop());
  announceCoordinator(admin, running, chassis);
  process.stdout.write(`ready ${running.url}\n`);
}

/** Workers that announce themselves. */
function natsRoster(link: NatsLink, models: readonly NamedBundle[], { log, lifecycle }: Chassis): NatsRoster {
  const roster = new NatsRoster({
    bundleDigests: models.map(({ bundle }) => bundle.digest),
    board: new AnnouncementBoard(link),
    state: () => link.state,
    log,
  });
  lifecycle.onStop('roster', () => roster.close());
  return roster;
}

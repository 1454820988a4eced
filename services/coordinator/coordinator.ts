import { type Logger, type Metrics, moduleLog, Telemetry } from '@rondo/chassis';
import { type Address, LIMITS, RondoError, systemClock, type TlsIdentity } from '@rondo/core';
import { connectWorker, type NatsLink, type WorkerClient } from '@rondo/wire';
import type { ApiKeys } from './api-keys.ts';
import { BackgroundRequests } from './background-requests.ts';
import { BatchService } from './batch-service.ts';
import { GivenWorkers } from './given-workers.ts';
import { checkHealth, type Health } from './health.ts';
import { createHttp } from './http.ts';
import { KeyGate } from './key-gate.ts';
import { LiveFeed } from './live-feed.ts';
import { Model, type NamedBundle } from './model.ts';
import { checkModels, Models } from './models.ts';
import { OpenAnswers } from './open-answers.ts';
import type { Placement } from './placement.ts';
import { RecentRequests } from './recent-requests.ts';
import type { Rosters } from './roster.ts';
import { Shadows } from './shadows.ts';
import { checkSpread, NO_SPREAD, type Spread } from './splits.ts';

export interface CoordinatorOptions {
  /** At least one, each with a name and a bundle of its own. */
  readonly models: readonly NamedBundle[];
  /** How requests for other names are spread over them, and which are run twice. */
  readonly spread?: Spread | undefined;
  /** Workers that must be there at the start; later each may go and come back. */
  readonly workers: readonly Address[];
  /** Announces more workers, which may come and go at any time. */
  readonly roster?: Rosters | undefined;
  /** `host:port`; port 0 takes a free one. */
  readonly listen: Address;
  readonly placement: Placement;
  /** Requests of each model that are held at once, running and waiting; `LIMITS.requestsInFlight` unless told otherwise. */
  readonly requestsInFlight?: number | undefined;
  readonly log: Logger;
  readonly metrics: Metrics;
  /** Which requests are traced, and where their spans go; absent: those whose clients sample them, and nowhere. */
  readonly telemetry?: Telemetry | undefined;
  /** What this coordinator shows to workers and holds them to; absent: plaintext. */
  readonly tls?: TlsIdentity | undefined;
  /** The keys of clients, read anew for each request; absent: everybody is let in. */
  readonly apiKeys?: { readonly current: ApiKeys } | undefined;
  /** Of pages in browsers that may read answers, `*` for any; absent: none but the console's. */
  readonly origins?: readonly string[] | undefined;
  /** Operators have a port of their own: this one tells clients neither metrics nor the addresses of workers. */
  readonly adminApart?: boolean | undefined;
  /** What this coordinator shows to clients; absent: plain HTTP. */
  readonly https?: TlsIdentity | undefined;
  /** Where files and batches are kept; absent: there are none. */
  readonly nats?: NatsLink | undefined;
  /** A line of a batch whose coordinator is silent so long goes to another, in milliseconds; `LIMITS.batchSilenceMs` unless told otherwise. */
  readonly batchSilenceMs?: number | undefined;
  /** How to reach a worker; gRPC unless told otherwise. */
  readonly connect?: (address: Address) => WorkerClient;
  /** How long a worker may be unreachable at start, in milliseconds. */
  readonly connectMs?: number;
  /** How long `stop` waits for running answers, in milliseconds; `LIMITS.drainMs` unless told otherwise. */
  readonly drainMs?: number;
}

export interface RunningCoordinator {
  /** Where clients connect, with the real port. */
  readonly url: string;
  /** Asks every worker now. */
  health(): Promise<Health>;
  /** Drains: refuses new requests, waits until running ones are answered, within a bound, then closes all connections. */
  stop(): Promise<void>;
}

/**
 * Links all workers, opens the tokenizers, then listens. With a roster it starts without workers, too, and says so at /health.
 * @throws RondoError NO_WORKER, BUNDLE_MISMATCH or PROTOCOL_MISMATCH for a worker that cannot be worked with,
 * BUNDLE_INVALID for unusable tokenizer files, CONFIG_INVALID for a port that is taken or models that cannot be told apart.
 */
export async function startCoordinator(options: CoordinatorOptions): Promise<RunningCoordinator> {
  const { log, metrics } = options;
  if (options.workers.length === 0 && options.roster === undefined) {
    throw new RondoError(
      'CONFIG_INVALID',
      'a coordinator needs at least one worker, --worker host:port, or where they announce themselves, --nats nats://host:port',
    );
  }
  const names = checkModels(options.models).map(({ name }) => name);
  const spread = checkSpread(options.spread ?? NO_SPREAD, names);
  const models = await join(options, spread);
  const { telemetry = new Telemetry({ sample: 0, serviceName: 'rondo', metrics, log }) } = options;
  const told = { telemetry, log: moduleLog(log, 'requests'), clock: systemClock };
  const background = new BackgroundRequests(told);
  const { shadows: rules } = spread;
  const shadows =
    rules.length > 0 ? new Shadows({ models, rules, log, metrics, requests: background }) : undefined;
  const health = async () => ({
    ...(await checkHealth(models.all, models.draining)),
    roster: options.roster?.health?.(),
  });
  const { nats, batchSilenceMs: silenceMs } = options;
  const batches =
    nats &&
    new BatchService({ link: nats, models, log, metrics, telemetry, requests: background, silenceMs });
  await batches?.tried();
  const answers = new OpenAnswers();
  const feed = new LiveFeed(models, systemClock);
  const requests = new RecentRequests({
    ...told,
    metrics,
    watched: () => feed.watched,
  });
  const http = createHttp({
    models,
    log,
    clock: systemClock,
    batches,
    shadows,
    health,
    adminApart: options.adminApart,
    metrics,
    answers,
    feed,
    requests,
    origins: options.origins,
    gate: options.apiKeys && new KeyGate({ keys: options.apiKeys, metrics, clock: systemClock }),
    https: options.https,
  });
  const url = await listen(http, options).catch(async (error: unknown) => {
    await batches?.stop();
    models.close();
    throw error;
  });
  const workers = models.all.reduce((sum, { membership }) => sum + membership.links.length, 0);
  log.info({ url, models: models.names, workers }, 'coordinator listens');
  return {
    url,
    health,
    async stop() {
      models.drain();
      feed.close();
      await Promise.all([answers.ended(options.drainMs ?? LIMITS.drainMs), batches?.stop(), shadows?.stop()]);
      await http.close();
      models.close();
    },
  };
}

/** Links every worker to the model that it holds, or none: the first that must be there and cannot be worked with ends the start. */
async function join(options: CoordinatorOptions, { splits }: Spread): Promise<Models> {
  const { placement, log, metrics, workers, roster, tls } = options;
  const { connectMs = LIMITS.workerConnectMs, requestsInFlight = LIMITS.requestsInFlight } = options;
  const connect = options.connect ?? ((address) => connectWorker(address, tls));
  const digests = options.models.map(({ bundle }) => bundle.digest);
  const given = new GivenWorkers(workers, digests);
  const found = (address: Address, digest: string) => given.found(address, digest);
  const models = new Models(
    await Promise.all(
      options.models.map((named) =>
        Model.open({ ...named, placement, requestsInFlight, log, metrics, connect, found }),
      ),
    ),
    splits,
  );
  const holderOf = (address: Address): Model =>
    models.all.find(({ bundle }) => bundle.digest === given.digestOf(address))!;
  try {
    for (const { bundle, membership } of models.all) {
      membership.follow(given.of(bundle.digest));
      if (roster) membership.follow(roster.of(bundle.digest));
    }
    await Promise.all(workers.map((address) => joined(address, holderOf, connectMs)));
    for (const { bundle, membership } of models.all) {
      const held = workers.filter((address) => given.digestOf(address) === bundle.digest);
      await membership.joined(held, connectMs);
    }
    for (const model of models.all) model.warnOfShortMemory();
    return models;
  } catch (error) {
    models.close();
    throw error;
  }
}

/** Waits until the worker at `address` has joined the model that it holds. */
async function joined(
  address: Address,
  holderOf: (address: Address) => Model,
  withinMs: number,
): Promise<void> {
  for (;;) {
    const holder = holderOf(address);
    try {
      return await holder.membership.joined([address], withinMs);
    } catch (error) {
      // It was found to hold what another model is.
      if (holderOf(address) === holder) throw error;
    }
  }
}

async function listen(
  http: ReturnType<typeof createHttp>,
  { listen: address, https }: CoordinatorOptions,
): Promise<string> {
  const colon = address.lastIndexOf(':');
  const host = address.slice(0, colon).replace(/^\[(.*)\]$/, '$1');
  const port = Number(address.slice(colon + 1));
  if (colon < 1 || !Number.isInteger(port) || port < 0 || port > 65535) {
    throw new RondoError('CONFIG_INVALID', `listen address '${address}': expected host:port`);
  }
  try {
    const url = await http.listen({ host, port });
    // Fastify does not look at the server that it was given.
    return https ? url.replace(/^http:/, 'https:') : url;
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException;
    const reason = code === 'EADDRINUSE' ? 'the port is taken; choose another with --listen' : message;
    throw new RondoError('CONFIG_INVALID', `cannot listen on ${address}: ${reason}`, { cause });
  }
}

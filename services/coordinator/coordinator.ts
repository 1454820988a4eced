import type { Bundle } from '@rondo/bundle';
import type { Logger, Metrics } from '@rondo/chassis';
import { type Address, LIMITS, RondoError, systemClock, type TlsIdentity } from '@rondo/core';
import { connectWorker, type NatsLink, type WorkerClient } from '@rondo/wire';
import { Admission } from './admission.ts';
import type { Kitchen } from './answer.ts';
import type { ApiKeys } from './api-keys.ts';
import { BatchService } from './batch-service.ts';
import { contextRoom } from './context-room.ts';
import { Generation } from './generation.ts';
import { checkHealth, type Health } from './health.ts';
import { createHttp } from './http.ts';
import { KeyGate } from './key-gate.ts';
import { Membership } from './membership.ts';
import { OpenAnswers } from './open-answers.ts';
import type { Placement } from './placement.ts';
import { fixedRoster, type Roster } from './roster.ts';
import { SequenceMetrics } from './sequence-metrics.ts';
import { openText } from './text.ts';

export interface CoordinatorOptions {
  readonly bundle: Bundle;
  /** Workers that must be there at the start; later each may go and come back. */
  readonly workers: readonly Address[];
  /** Announces more workers, which may come and go at any time. */
  readonly roster?: Roster | undefined;
  /** `host:port`; port 0 takes a free one. */
  readonly listen: Address;
  readonly placement: Placement;
  /** The name clients ask for. */
  readonly modelName: string;
  readonly log: Logger;
  readonly metrics: Metrics;
  /** What this coordinator shows to workers and holds them to; absent: plaintext. */
  readonly tls?: TlsIdentity | undefined;
  /** The keys of clients, read anew for each request; absent: everybody is let in. */
  readonly apiKeys?: { readonly current: ApiKeys } | undefined;
  /** Operators have a port of their own: this one tells clients neither metrics nor the addresses of workers. */
  readonly adminApart?: boolean | undefined;
  /** What this coordinator shows to clients; absent: plain HTTP. */
  readonly https?: TlsIdentity | undefined;
  /** Where files and batches are kept; absent: there are none. */
  readonly nats?: NatsLink | undefined;
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
 * Links all workers, opens the tokenizer, then listens. With a roster it starts without workers, too, and says so at /health.
 * @throws RondoError NO_WORKER, BUNDLE_MISMATCH or PROTOCOL_MISMATCH for a worker that cannot be worked with,
 * BUNDLE_INVALID for unusable tokenizer files, CONFIG_INVALID for a port that is taken.
 */
export async function startCoordinator(options: CoordinatorOptions): Promise<RunningCoordinator> {
  const { bundle, log, metrics } = options;
  if (options.workers.length === 0 && options.roster === undefined) {
    throw new RondoError(
      'CONFIG_INVALID',
      'a coordinator needs at least one worker, --worker host:port, or where they announce themselves, --nats nats://host:port',
    );
  }
  const codec = await openText(bundle);
  const membership = await join(options);
  const modelContext = bundle.manifest.shape.context;
  const positions = () => membership.links.flatMap(({ known }) => known?.totalPositions ?? []);
  const { maxDepth, layers } = bundle.manifest;
  const layersAtHome = layers.prelude + layers.coda > 0;
  const need = { context: modelContext, maxDepth, layersAtHome };
  const room = () => contextRoom(need, options.placement, positions());
  if (room().usual < modelContext) {
    log.warn(
      { modelContext, positions: positions() },
      "a worker's KV memory holds less than the model's context",
    );
  }
  const admission = new Admission(LIMITS.requestsInFlightMax);
  const health = async () => ({
    ...(await checkHealth(membership, bundle, admission.draining)),
    roster: options.roster?.health?.(),
  });
  const kitchen: Kitchen = {
    model: {
      name: options.modelName,
      manifest: bundle.manifest,
      get context() {
        return room();
      },
    },
    codec,
    admission,
    log,
    generation: new Generation({
      membership,
      placement: options.placement,
      bundleDigest: bundle.digest,
      maxDepth,
      vocab: bundle.manifest.shape.vocab,
      context: modelContext,
      candidates: bundle.manifest.headCandidates,
      layersAtHome,
      kvPolicy: bundle.manifest.kvPolicy,
      metrics: new SequenceMetrics(metrics),
      clock: systemClock,
    }),
  };
  const batches = options.nats && new BatchService({ link: options.nats, kitchen, log, metrics });
  await batches?.tried();
  const answers = new OpenAnswers();
  const http = createHttp({
    kitchen,
    batches,
    health,
    adminApart: options.adminApart,
    metrics,
    answers,
    gate: options.apiKeys && new KeyGate({ keys: options.apiKeys, metrics, clock: systemClock }),
    https: options.https,
  });
  const url = await listen(http, options).catch(async (error: unknown) => {
    await batches?.stop();
    membership.close();
    throw error;
  });
  log.info({ url, model: options.modelName, workers: membership.links.length }, 'coordinator listens');
  return {
    url,
    health,
    async stop() {
      admission.drain();
      await Promise.all([answers.ended(options.drainMs ?? LIMITS.drainMs), batches?.stop()]);
      await http.close();
      membership.close();
    },
  };
}

/** Links every worker, or none: the first that must be there and cannot be worked with ends the start. */
async function join(options: CoordinatorOptions): Promise<Membership> {
  const { bundle, log, workers, roster, tls, connectMs = LIMITS.workerConnectMs } = options;
  const connect = options.connect ?? ((address) => connectWorker(address, tls));
  const membership = new Membership({ bundle, log, connect }, bundle.manifest.maxDepth);
  try {
    membership.follow(fixedRoster(workers));
    if (roster) membership.follow(roster);
    await membership.joined(workers, connectMs);
    return membership;
  } catch (error) {
    membership.close();
    throw error;
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

import { type JetStreamClient, jetstream } from '@nats-io/jetstream';
import { Kvm } from '@nats-io/kv';
import { Objm } from '@nats-io/obj';
import { connect, errors, type NatsConnection, type NodeConnectionOptions } from '@nats-io/transport-node';
import { LIMITS, RondoError } from '@rondo/core';
import { type NatsCredentials, natsAuthenticator } from './nats-credentials.ts';
import { checkNatsVersion } from './nats-version.ts';
import { DEFAULT_NATS_PREFIX, type Subjects, subjectsUnder } from './subjects.ts';

export interface NatsOptions {
  /** `nats://host:port` or `tls://host:port`, of one NATS cluster. */
  readonly servers: readonly string[];
  /** How this process is listed by the server. */
  readonly name: string;
  readonly credentials?: NatsCredentials | undefined;
  /** PEM files, read anew at every connect. Given, even without files, a server without TLS is refused. */
  readonly tls?: NatsTls | undefined;
  /** What this cluster's subjects, buckets and streams begin with; `rondo` by default. */
  readonly prefix?: string | undefined;
  /** Servers that hold a copy of each bucket: 1, 3 or 5; as it is, or 1, unless told otherwise. */
  readonly replicas?: number | undefined;
  /** Told of every change of state, and why. */
  readonly changed?: ((state: NatsState) => void) | undefined;
  /** Told when the file of `credentials` can no longer be used; what it said last goes on signing in. */
  readonly credentialsUnusable?: ((error: RondoError) => void) | undefined;
}

export interface NatsTls {
  readonly caFile?: string | undefined;
  readonly certFile?: string | undefined;
  readonly keyFile?: string | undefined;
}

export type NatsState =
  | { readonly connected: true; readonly server: string }
  | { readonly connected: false; readonly reason: string };

/** What can be stored through a connection that has come about. */
export interface NatsStores {
  readonly connection: NatsConnection;
  readonly jetstream: JetStreamClient;
  readonly buckets: Kvm;
  readonly objects: Objm;
}

const RETRY_MS = 2_000;
const RETRY_JITTER_MS = 500;

/**
 * A connection to NATS that is sought for ever, once it is opened: everything built on it has to live with its absence.
 *
 * Resolves when connected, or after `LIMITS.natsConnectMs` without a server; then it goes on trying in the background.
 * @throws RondoError CONFIG_INVALID when a server answers that can never serve: one that is older than 2.11, has no
 * JetStream or refuses the credentials or the certificate.
 */
export async function openNats(options: NatsOptions): Promise<NatsLink> {
  const link = new NatsLink(options);
  await link.start();
  return link;
}

/**
 * One process's connection to NATS, which comes and goes: whoever uses it is told of its stores anew after each connection, and
 * asks `state` for why there is none.
 */
export class NatsLink {
  readonly subjects: Subjects;
  readonly replicas: number | undefined;
  readonly #options: NatsOptions;
  readonly #connectedListeners = new Set<(stores: NatsStores) => void>();
  readonly #closing = new AbortController();
  #state: NatsState = { connected: false, reason: 'not connected yet' };
  #connection: NatsConnection | undefined;
  #stores: NatsStores | undefined;

  constructor(options: NatsOptions) {
    this.subjects = subjectsUnder(options.prefix ?? DEFAULT_NATS_PREFIX);
    this.replicas = options.replicas;
    this.#options = options;
  }

  get state(): NatsState {
    return this.#state;
  }

  /** Aborts when the link is closed. */
  get closing(): AbortSignal {
    return this.#closing.signal;
  }

  /** @throws RondoError NATS_UNAVAILABLE while there is no connection. */
  get stores(): NatsStores {
    if (this.#state.connected && this.#stores) return this.#stores;
    const reason = this.#state.connected ? 'not connected yet' : this.#state.reason;
    throw new RondoError('NATS_UNAVAILABLE', `NATS (${this.#options.servers}) is away: ${reason}`);
  }

  /** Calls `listener` at every connect and reconnect, and now when there is a connection. Returns how to stop that. */
  onConnected(listener: (stores: NatsStores) => void): () => void {
    this.#connectedListeners.add(listener);
    if (this.#state.connected && this.#stores) listener(this.#stores);
    return () => void this.#connectedListeners.delete(listener);
  }

  /** Call once. See `openNats`. */
  async start(): Promise<void> {
    const options = this.#connectionOptions();
    const first = await this.#connectOnce(options);
    if (first === undefined) return;
    if (first.code === 'CONFIG_INVALID') {
      this.#closing.abort();
      throw first;
    }
    this.#changed({ connected: false, reason: first.message });
    void this.#keepConnecting(options);
  }

  /** Sends what is under way, then disconnects. */
  async close(): Promise<void> {
    this.#closing.abort();
    this.#connectedListeners.clear();
    if (this.#state.connected) await this.#connection?.drain().catch(() => undefined);
    await this.#connection?.close();
  }

  async #keepConnecting(options: NodeConnectionOptions): Promise<void> {
    while (!this.closing.aborted) {
      await new Promise((resolve) => {
        const timer = setTimeout(resolve, RETRY_MS + Math.random() * RETRY_JITTER_MS);
        this.closing.addEventListener('abort', () => resolve(clearTimeout(timer)), { once: true });
      });
      if (this.closing.aborted) return;
      const failed = await this.#connectOnce(options);
      if (failed === undefined) return;
      this.#changed({ connected: false, reason: failed.message });
    }
  }

  /** Undefined when connected, else the reason. */
  async #connectOnce(options: NodeConnectionOptions): Promise<RondoError | undefined> {
    let connection: NatsConnection | undefined;
    try {
      connection = await connect(options);
      checkNatsVersion(connection.getServer(), connection.info?.version ?? 'unknown');
      const client = jetstream(connection);
      // Asks whether there is JetStream.
      await client.jetstreamManager(true);
      if (this.closing.aborted) throw new RondoError('CANCELLED', 'closed while connecting');
      this.#connection = connection;
      this.#stores = { connection, jetstream: client, buckets: new Kvm(client), objects: new Objm(client) };
      void this.#follow(connection);
      this.#connected(connection);
      return undefined;
    } catch (thrown) {
      await connection?.close();
      const error = connectError(thrown, this.#options.servers);
      return error;
    }
  }

  async #follow(connection: NatsConnection): Promise<void> {
    for await (const status of connection.status()) {
      if (status.type === 'reconnect') this.#connected(connection);
      if (status.type === 'disconnect') this.#changed({ connected: false, reason: 'the connection broke' });
      if (status.type === 'error') {
        const { message } = connectError(status.error, this.#options.servers);
        if (!this.#state.connected) this.#changed({ connected: false, reason: message });
      }
    }
  }

  #connected(connection: NatsConnection): void {
    this.#changed({ connected: true, server: connection.getServer() });
    for (const listener of [...this.#connectedListeners]) listener(this.stores);
  }

  #changed(state: NatsState): void {
    const same =
      this.#state.connected === state.connected &&
      (state.connected || (!this.#state.connected && this.#state.reason === state.reason));
    this.#state = state;
    if (!same && !this.closing.aborted) this.#options.changed?.(state);
  }

  #connectionOptions(): NodeConnectionOptions {
    const { servers, name, credentials, credentialsUnusable, tls } = this.#options;
    return {
      servers: [...servers],
      name,
      timeout: LIMITS.natsConnectMs,
      // For ever, also when the server refuses us for a while.
      maxReconnectAttempts: -1,
      ignoreAuthErrorAbort: true,
      reconnectTimeWait: RETRY_MS,
      reconnectJitter: RETRY_JITTER_MS,
      reconnectJitterTLS: RETRY_JITTER_MS,
      pingInterval: LIMITS.natsPingMs,
      maxPingOut: 2,
      ...(credentials && { authenticator: natsAuthenticator(credentials, credentialsUnusable) }),
      ...((tls || servers.some((server) => server.startsWith('tls://'))) && { tls: tlsFiles(tls) }),
    };
  }
}

const tlsFiles = ({ caFile, certFile, keyFile }: NatsTls = {}) => ({
  ...(caFile !== undefined && { caFile }),
  ...(certFile !== undefined && { certFile }),
  ...(keyFile !== undefined && { keyFile }),
});

/** CONFIG_INVALID for what trying again will not mend, else NATS_UNAVAILABLE. */
function connectError(thrown: unknown, servers: readonly string[]): RondoError {
  if (thrown instanceof RondoError) return thrown;
  const cause = thrown as Error & { code?: string };
  const at = `NATS (${servers})`;
  if (cause instanceof errors.AuthorizationError || cause instanceof errors.UserAuthenticationExpiredError) {
    const remedy = 'check --nats-creds, or RONDO_NATS_USER and RONDO_NATS_PASSWORD';
    return new RondoError('CONFIG_INVALID', `${at} refuses the credentials: ${cause.message}; ${remedy}`, {
      cause,
    });
  }
  if (cause.name === 'JetStreamNotEnabled') {
    return new RondoError('CONFIG_INVALID', `${at} has no JetStream; start the server with -js`, { cause });
  }
  const tlsCode = /^(ERR_TLS|ERR_SSL|ERR_OSSL|CERT_|DEPTH_ZERO|SELF_SIGNED|UNABLE_TO)/;
  if (tlsCode.test(cause.code ?? '') || /does not support 'tls'|doesn't exist/.test(cause.message)) {
    return new RondoError(
      'CONFIG_INVALID',
      `${at} and TLS: ${cause.message}; check --nats-ca, --nats-cert and --nats-key`,
      {
        cause,
      },
    );
  }
  return new RondoError('NATS_UNAVAILABLE', `${at} cannot be reached: ${cause?.message}`, { cause });
}

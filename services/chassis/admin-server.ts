import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type Address, LIMITS, RondoError } from '@rondo/core';
import { isLogLevel, LEVELS, type Logger } from './log.ts';
import type { Metrics } from './metrics.ts';

/** Whether the process does its work now, and what there is to say about it. */
export interface Readiness {
  readonly ready: boolean;
  readonly details: object;
}

export interface AdminOptions {
  /** `host:port`; port 0 takes a free one. */
  readonly listen: Address;
  readonly log: Logger;
  readonly metrics: Metrics;
}

interface Answer {
  readonly status: number;
  readonly type?: string;
  readonly body: string | object;
}

type Route = (request: IncomingMessage) => Promise<Answer>;

/** The longest level is `silent`. */
const LEVEL_BYTES_MAX = 16;

/**
 * A port for operators, apart from the one that serves: GET /metrics, /healthz (alive), /readyz (ready, with details such
 * as the addresses of workers), GET and PUT /log-level. Whoever reaches it may read and set these, so it belongs into a
 * network of its own.
 */
export class AdminServer {
  readonly #log: Logger;
  readonly #metrics: Metrics;
  readonly #server: Server;
  #readiness: () => Promise<Readiness> = async () => ({ ready: false, details: { status: 'starting' } });

  private constructor({ log, metrics }: AdminOptions) {
    this.#log = log;
    this.#metrics = metrics;
    const bounds = {
      maxHeaderSize: LIMITS.httpHeaderBytes,
      headersTimeout: LIMITS.httpHeadersMs,
      requestTimeout: LIMITS.httpHeadersMs,
    };
    this.#server = createServer(bounds, (request, response) => void this.#answer(request, response));
    this.#server.maxConnections = LIMITS.adminConnectionsMax;
  }

  /** @throws RondoError CONFIG_INVALID when the address cannot be had. */
  static async start(options: AdminOptions): Promise<AdminServer> {
    const { listen } = options;
    const admin = new AdminServer(options);
    const colon = listen.lastIndexOf(':');
    const host = listen.slice(0, colon).replace(/^\[(.*)\]$/, '$1');
    await new Promise<void>((resolve, reject) => {
      admin.#server.once('error', ({ code, message }: NodeJS.ErrnoException) => {
        const reason = code === 'EADDRINUSE' ? 'the port is taken; choose another with --admin' : message;
        reject(new RondoError('CONFIG_INVALID', `cannot listen on ${listen}: ${reason}`));
      });
      admin.#server.listen({ host, port: Number(listen.slice(colon + 1)) }, resolve);
    });
    options.log.info({ url: admin.url }, 'admin port listens');
    return admin;
  }

  get url(): string {
    const { address, port, family } = this.#server.address() as AddressInfo;
    return `http://${family === 'IPv6' ? `[${address}]` : address}:${port}`;
  }

  /** What /readyz asks from now on; before the first call the process counts as starting. */
  announce(readiness: () => Promise<Readiness>): void {
    this.#readiness = readiness;
  }

  async stop(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    this.#server.closeAllConnections();
    await closed;
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const {
      status,
      type = 'application/json',
      body,
    } = await this.#route(request).catch((thrown: unknown) => {
      this.#log.error({ err: thrown }, 'an admin request failed');
      return refusal(500, 'something failed that should not have; see the log');
    });
    // What a request still has to say is of no interest.
    response.writeHead(status, { 'content-type': type, connection: 'close' });
    response.end(typeof body === 'string' ? body : `${JSON.stringify(body)}\n`);
  }

  #route(request: IncomingMessage): Promise<Answer> {
    const path = request.url?.split('?')[0] ?? '';
    const methods = this.#routes[path];
    const method = request.method === 'HEAD' ? 'GET' : (request.method ?? '');
    const route = methods?.[method];
    if (route) return route(request);
    const known = methods ? `${path} takes ${Object.keys(methods).join(' and ')}` : 'no such path';
    const paths = Object.keys(this.#routes).join(', ');
    return Promise.resolve(refusal(methods ? 405 : 404, `${known}; here are ${paths}`));
  }

  readonly #routes: Readonly<Record<string, Readonly<Record<string, Route>>>> = {
    __proto__: null as never,
    '/metrics': {
      GET: async ({ headers }) => ({ status: 200, ...(await this.#metrics.rendered(headers.accept)) }),
    },
    '/healthz': { GET: async () => ({ status: 200, body: { status: 'ok' } }) },
    '/readyz': {
      GET: async () => {
        const { ready, details } = await this.#readiness();
        return { status: ready ? 200 : 503, body: details };
      },
    },
    '/log-level': {
      GET: async () => ({ status: 200, body: { level: this.#log.level } }),
      PUT: async (request) => {
        const level = (await readShort(request))?.trim() ?? '';
        if (!isLogLevel(level)) return refusal(400, `expected one of ${LEVELS.join(', ')} as the body`);
        this.#log.level = level;
        this.#log.info({ logLevel: level }, 'log level changed');
        return { status: 200, body: { level } };
      },
    },
  };
}

const refusal = (status: number, message: string): Answer => ({ status, body: { error: { message } } });

/** Undefined for a body longer than any level. */
async function readShort(request: IncomingMessage): Promise<string | undefined> {
  let text = '';
  for await (const bytes of request) {
    text += String(bytes);
    if (text.length > LEVEL_BYTES_MAX) return undefined;
  }
  return text;
}

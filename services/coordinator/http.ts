import { randomUUID } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import type { Logger } from '@rondo/chassis';
import { type Clock, LIMITS, RondoError, type TlsIdentity } from '@rondo/core';
import {
  type FastifyError,
  type FastifyInstance,
  type FastifyReply,
  type FastifyRequest,
  fastify,
} from 'fastify';
import { addBatchRoutes } from './batch-routes.ts';
import type { BatchService } from './batch-service.ts';
import { addConsoleRoutes, CONSOLE_PAGES } from './console-routes.ts';
import { allowOrigins } from './cross-origin.ts';
import { addGenerationRoutes, type GenerationRoutesOptions } from './generation-routes.ts';
import type { Health } from './health.ts';
import { createHttpServer, refuseBrokenHttp } from './http-server.ts';
import { parseJsonBody } from './json-body.ts';
import type { KeyGate } from './key-gate.ts';
import { addModelRoutes } from './model-routes.ts';
import type { OpenAnswers } from './open-answers.ts';
import { openAiError } from './openai-error.ts';
import type { Owner } from './owner.ts';
import { addRequestRoutes } from './request-routes.ts';

export interface HttpOptions extends GenerationRoutesOptions {
  readonly log: Logger;
  readonly clock: Clock;
  readonly health: () => Promise<Health>;
  /** Every answer is added to it. */
  readonly answers: OpenAnswers;
  /** Of pages in browsers that may read answers, `*` for any; absent: none but the console's. */
  readonly origins?: readonly string[] | undefined;
  /** Who is let in; absent: everybody. */
  readonly gate?: KeyGate | undefined;
  /** Metrics and the addresses of workers are told elsewhere. */
  readonly adminApart?: boolean | undefined;
  /** Absent: plain HTTP. */
  readonly https?: TlsIdentity | undefined;
  /** Absent without NATS. */
  readonly batches?: BatchService | undefined;
}

declare module 'fastify' {
  interface FastifyRequest {
    owner: Owner;
    /** When its headers were there, by the coordinator's clock. */
    arrivedMs: number;
    /** Of its trace, once it has one. */
    traceId: string | undefined;
  }
}

/** What a prober may ask without a key. */
const OPEN_ROUTES: ReadonlySet<string | undefined> = new Set([
  '/health',
  '/healthz',
  '/live',
  ...CONSOLE_PAGES,
]);

const REQUEST_ID_CHARS = 128;
const REQUEST_ID = new RegExp(String.raw`^[\x21-\x7e]{1,${REQUEST_ID_CHARS}}$`);

/** How long a refused client should wait, in seconds: a sequence ends, and a lost worker is looked for, about that often. */
const RETRY_AFTER_S = 1;

/** The HTTP door: routes, and OpenAI's error object for whatever goes wrong on any of them. */
export function createHttp(options: HttpOptions): FastifyInstance {
  const { metrics, clock, answers, gate, https, adminApart = false } = options;
  const requests = metrics.counter('rondo_http_requests_total', 'HTTP requests by route and status', [
    'route',
    'status',
  ]);
  const http = fastify({
    logger: false,
    serverFactory: (handler) => createHttpServer(handler, https),
    bodyLimit: LIMITS.httpBodyBytes,
    forceCloseConnections: true,
    genReqId: requestId,
    routerOptions: { maxParamLength: REQUEST_ID_CHARS },
    clientErrorHandler: refuseBrokenHttp,
    frameworkErrors: (error, request, reply) => sendError(options, error, request, reply),
  });

  http.removeAllContentTypeParsers();
  http.addContentTypeParser(
    'application/json',
    { parseAs: 'buffer' },
    // Some clients name the type of a body that they do not send.
    async (_request: unknown, body: Buffer) => (body.length === 0 ? undefined : parseJsonBody(body)),
  );
  http.addHook('onRequest', async (request, reply) => {
    request.arrivedMs = clock.now();
    answers.add(reply.raw);
    reply.header('x-request-id', request.id);
  });
  allowOrigins(http, options.origins ?? []);
  http.decorateRequest('arrivedMs', 0);
  http.decorateRequest('owner', undefined);
  http.decorateRequest('traceId', undefined);
  http.addHook('onRequest', async (request, reply) => {
    if (gate === undefined || OPEN_ROUTES.has(request.routeOptions.url)) return;
    // Before the body is read: a stranger's costs nothing.
    const entry = gate.enter(request.headers.authorization, (name, value) => void reply.header(name, value));
    request.owner = entry.name;
    reply.raw.once('close', () => entry.leave());
  });
  http.addHook('onResponse', async (request, reply) => {
    requests.inc({ route: request.routeOptions.url ?? 'unknown', status: String(reply.raw.statusCode) });
  });
  http.setErrorHandler((error: FastifyError, request, reply) => sendError(options, error, request, reply));
  http.setNotFoundHandler((request, reply) => {
    sendError(options, noSuchRoute(http, request), request, reply);
  });

  addGenerationRoutes(http, options);
  addBatchRoutes(http, options.batches);
  addConsoleRoutes(http, options.feed);
  addRequestRoutes(http, options.requests);
  addModelRoutes(http, options.models);
  for (const path of ['/live', '/healthz']) http.get(path, async () => ({ status: 'ok' }));
  http.get('/health', async (_request, reply) => {
    const health = await options.health();
    return reply
      .code(health.status === 'ok' ? 200 : 503)
      .send(adminApart ? { status: health.status } : health);
  });
  if (!adminApart) {
    http.get('/metrics', async ({ headers }, reply) => {
      const { type, body } = await metrics.rendered(headers.accept);
      return reply.header('content-type', type).send(body);
    });
  }
  return http;
}

/** The client's own id when it is short and printable, so that it can be found in both logs. */
function requestId(request: IncomingMessage): string {
  const given = request.headers['x-request-id'];
  return typeof given === 'string' && REQUEST_ID.test(given) ? given : randomUUID();
}

function sendError(options: HttpOptions, thrown: Error, request: FastifyRequest, reply: FastifyReply): void {
  const error = catalogued(thrown);
  if (error.httpStatus >= 500) {
    options.log.error(
      { err: thrown, requestId: request.id, traceId: request.traceId, route: request.routeOptions.url },
      'request failed',
    );
  }
  if (reply.sent) return;
  const comeBack = error.httpStatus === 429 || error.httpStatus === 503;
  if (comeBack && !reply.hasHeader('retry-after')) reply.header('retry-after', RETRY_AFTER_S);
  void reply.code(error.httpStatus).send(openAiError(error));
}

/** Errors of the framework become those of the catalogue; what nobody foresaw keeps its details in the log. */
function catalogued(thrown: Error): RondoError {
  if (thrown instanceof RondoError) return thrown;
  const { code, statusCode = 500, message } = thrown as FastifyError;
  if (code === 'FST_ERR_CTP_BODY_TOO_LARGE') {
    return new RondoError('BODY_TOO_LARGE', `the request body exceeds ${LIMITS.httpBodyBytes} bytes`);
  }
  if (code === 'FST_ERR_CTP_INVALID_MEDIA_TYPE') {
    return new RondoError('INVALID_REQUEST', 'the request body: send it with content-type: application/json');
  }
  if (statusCode < 500) return new RondoError('INVALID_REQUEST', message, { cause: thrown });
  return new RondoError('INTERNAL', 'something failed that should not have; see the server log', {
    cause: thrown,
  });
}

function noSuchRoute(http: FastifyInstance, request: FastifyRequest): RondoError {
  const path = request.url.split('?')[0] ?? '';
  const other = (['GET', 'POST'] as const).find((method) => http.hasRoute({ method, url: path }));
  const hint = other === undefined ? '' : `; use ${other}`;
  return new RondoError('ROUTE_NOT_FOUND', `no route ${request.method} ${path}${hint}`);
}

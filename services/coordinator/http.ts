import { randomUUID } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import type { Logger, Metrics } from '@rondo/chassis';
import { type Clock, LIMITS, RondoError, type TlsIdentity } from '@rondo/core';
import {
  type FastifyError,
  type FastifyInstance,
  type FastifyReply,
  type FastifyRequest,
  fastify,
} from 'fastify';
import { answer, type Kitchen } from './answer.ts';
import type { AnswerPlan } from './answer-plan.ts';
import { addBatchRoutes } from './batch-routes.ts';
import type { BatchService } from './batch-service.ts';
import { planChat } from './chat.ts';
import { planCompletion } from './completions.ts';
import { addConsoleRoutes, CONSOLE_PAGES } from './console-routes.ts';
import type { Health } from './health.ts';
import { createHttpServer, refuseBrokenHttp } from './http-server.ts';
import { parseJsonBody } from './json-body.ts';
import type { KeyGate } from './key-gate.ts';
import type { LiveFeed } from './live-feed.ts';
import type { Listed, Models } from './models.ts';
import type { OpenAnswers } from './open-answers.ts';
import { openAiError } from './openai-error.ts';
import type { Owner } from './owner.ts';
import type { RecentRequests } from './recent-requests.ts';
import { addRequestRoutes } from './request-routes.ts';
import type { Shadows } from './shadows.ts';
import { detokenize, tokenize, tokenizerInfo } from './tokenize.ts';
import { bothOf } from './witness.ts';

export interface HttpOptions {
  readonly models: Models;
  readonly log: Logger;
  readonly clock: Clock;
  readonly health: () => Promise<Health>;
  /** Hears every answer. */
  readonly feed: LiveFeed;
  /** Remembers every request to generate. */
  readonly requests: RecentRequests;
  readonly metrics: Metrics;
  /** Every answer is added to it. */
  readonly answers: OpenAnswers;
  /** Who is let in; absent: everybody. */
  readonly gate?: KeyGate | undefined;
  /** Metrics and the addresses of workers are told elsewhere. */
  readonly adminApart?: boolean | undefined;
  /** Absent: plain HTTP. */
  readonly https?: TlsIdentity | undefined;
  /** Absent without NATS. */
  readonly batches?: BatchService | undefined;
  /** Absent when no request is run twice. */
  readonly shadows?: Shadows | undefined;
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

/** Requests with the same value stay with one variant, unless they name a user. */
const SESSION_HEADER = 'x-rondo-session';

/** How long a refused client should wait, in seconds: a sequence ends, and a lost worker is looked for, about that often. */
const RETRY_AFTER_S = 1;

/** The HTTP door: routes, and OpenAI's error object for whatever goes wrong on any of them. */
export function createHttp(options: HttpOptions): FastifyInstance {
  const {
    models,
    feed,
    requests: recent,
    shadows,
    metrics,
    clock,
    answers,
    gate,
    https,
    adminApart = false,
  } = options;
  const requests = metrics.counter('rondo_http_requests_total', 'HTTP requests by route and status', [
    'route',
    'status',
  ]);
  const byVariant = metrics.counter(
    'rondo_model_requests_total',
    'Requests to generate that made sense, by the name asked for and the model that got them',
    ['asked', 'model'],
  );
  const http = fastify({
    logger: false,
    serverFactory: (handler) => createHttpServer(handler, https),
    bodyLimit: LIMITS.httpBodyBytes,
    forceCloseConnections: true,
    genReqId: requestId,
    clientErrorHandler: refuseBrokenHttp,
    frameworkErrors: (error, request, reply) => sendError(options, error, request, reply),
  });

  http.removeAllContentTypeParsers();
  http.addContentTypeParser(
    'application/json',
    { parseAs: 'buffer' },
    async (_request: unknown, body: Buffer) => parseJsonBody(body),
  );
  http.addHook('onRequest', async (request, reply) => {
    request.arrivedMs = clock.now();
    answers.add(reply.raw);
    reply.header('x-request-id', request.id);
  });
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

  const generate =
    (operation: 'chat' | 'text_completion', plan: (body: unknown, kitchen: Kitchen) => AnswerPlan) =>
    async (request: FastifyRequest, reply: FastifyReply) => {
      const { body, headers, id, owner, arrivedMs } = request;
      const session = headers[SESSION_HEADER];
      const served = models.serve(body, {
        session: typeof session === 'string' ? session : undefined,
        request: id,
      });
      const { asked, model, kitchen } = served;
      // Names of bundles may hold what headers may not.
      reply.header('x-rondo-variant', encodeURI(model.name));
      const planned = plan(body, kitchen);
      byVariant.inc({ asked, model: model.name });
      const { promptTokens, stream } = planned;
      const { traceparent } = headers;
      const facts = { id, owner, operation, asked, model: model.name, promptTokens, stream };
      const timeline = recent.begin({ ...facts, arrivedMs, traceparent });
      request.traceId = timeline.facts.context.traceId;
      const witness = shadows?.witness(served, timeline.facts, planned.choices.length, (other) =>
        plan(body, other),
      );
      const listeners = bothOf(bothOf(feed.witness(), timeline), witness);
      try {
        return await answer(kitchen, timeline.followed(planned), reply, listeners);
      } catch (thrown) {
        // What was turned away at the door has no answer that could end.
        timeline.end(thrown);
        throw thrown;
      }
    };
  http.post('/v1/completions', generate('text_completion', planCompletion));
  http.post('/v1/chat/completions', generate('chat', planChat));
  addBatchRoutes(http, options.batches);
  addConsoleRoutes(http, feed);
  addRequestRoutes(http, recent);
  http.post('/tokenize', async ({ body }) => tokenize(body, models.kitchen(body)));
  http.post('/detokenize', async ({ body }) => detokenize(body, models.kitchen(body)));
  http.get<{ Querystring: { model?: string } }>('/tokenizer_info', async ({ query }) =>
    tokenizerInfo(models.kitchen(query)),
  );

  const created = Math.floor(Date.now() / 1000);
  const listed = ({ name, most, maxDepth }: Listed) => ({
    id: name,
    object: 'model',
    created,
    owned_by: 'rondo',
    max_model_len: most,
    max_depth: maxDepth,
  });
  http.get('/v1/models', async () => ({
    object: 'list',
    data: models.listed.map(listed),
  }));
  // A wildcard, because model names may hold slashes.
  http.get<{ Params: { '*': string } }>('/v1/models/*', async ({ params }) =>
    listed(models.describe(params['*'])),
  );
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
  return typeof given === 'string' && /^[\x21-\x7e]{1,128}$/.test(given) ? given : randomUUID();
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

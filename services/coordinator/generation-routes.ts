import type { Metrics } from '@rondo/chassis';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { answer } from './answer.ts';
import { bothListeners } from './answer-listener.ts';
import type { AnswerPlan } from './answer-plan.ts';
import { planChat } from './chat.ts';
import { planCompletion } from './completions.ts';
import type { LiveFeed } from './live-feed.ts';
import type { ModelService } from './model-service.ts';
import type { Models } from './models.ts';
import type { RecentRequests } from './recent-requests.ts';
import type { Shadows } from './shadows.ts';

export interface GenerationRoutesOptions {
  readonly models: Models;
  readonly metrics: Metrics;
  /** Hears every answer. */
  readonly feed: LiveFeed;
  /** Remembers every request to generate. */
  readonly requests: RecentRequests;
  /** Absent when no request is run twice. */
  readonly shadows?: Shadows | undefined;
}

/** Requests with the same value stay with one variant, unless they name a user. */
const SESSION_HEADER = 'x-rondo-session';

type Plan = (body: unknown, service: ModelService) => AnswerPlan;

/** OpenAI's two endpoints that generate: a request is planned for the model that gets it, and answered. */
export function addGenerationRoutes(
  http: FastifyInstance,
  { models, metrics, feed, requests, shadows }: GenerationRoutesOptions,
): void {
  const byVariant = metrics.counter(
    'rondo_model_requests_total',
    'Requests to generate that made sense, by the name asked for and the model that got them',
    ['asked', 'model'],
  );
  const generate =
    (operation: 'chat' | 'text_completion', plan: Plan) =>
    async (request: FastifyRequest, reply: FastifyReply) => {
      const { body, headers, id, owner, arrivedMs } = request;
      const session = headers[SESSION_HEADER];
      const served = models.serve(body, {
        session: typeof session === 'string' ? session : undefined,
        request: id,
      });
      const { asked, model, service } = served;
      // Names of bundles may hold what headers may not.
      reply.header('x-rondo-variant', encodeURI(model.name));
      const planned = plan(body, service);
      byVariant.inc({ asked, model: model.name });
      const { promptTokens, stream } = planned;
      const { traceparent } = headers;
      const facts = { id, owner, operation, asked, model: model.name, promptTokens, stream };
      const timeline = requests.begin({ ...facts, arrivedMs, traceparent });
      request.traceId = timeline.facts.context.traceId;
      const shadow = shadows?.listener(served, timeline.facts, planned.choices.length, (other) =>
        plan(body, other),
      );
      const listeners = bothListeners(bothListeners(feed.listener(), timeline), shadow);
      try {
        return await answer(service, timeline.followed(planned), reply, listeners);
      } catch (thrown) {
        // What was turned away at the door has no answer that could end.
        timeline.end(thrown);
        throw thrown;
      }
    };
  http.post('/v1/completions', generate('text_completion', planCompletion));
  http.post('/v1/chat/completions', generate('chat', planChat));
}

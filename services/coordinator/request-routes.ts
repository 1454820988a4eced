import type { FastifyInstance } from 'fastify';
import type { RecentRequests } from './recent-requests.ts';
import type { RequestDetail, RequestSummary } from './request-detail.ts';
import type { RequestTimeline } from './request-timeline.ts';
import { timelineSpans } from './timeline-spans.ts';

/** What the console draws: the requests of late at /console/requests, each with its timeline at /console/requests/<id>. */
export function addRequestRoutes(http: FastifyInstance, requests: RecentRequests): void {
  http.get('/console/requests', async ({ owner }) => ({ requests: requests.list(owner).map(summaryOf) }));
  http.get<{ Params: { id: string } }>('/console/requests/:id', async ({ params, owner }) =>
    detailOf(requests.find(params.id, owner)),
  );
}

const summaryOf = (timeline: RequestTimeline): RequestSummary => ({
  id: timeline.facts.id,
  trace_id: timeline.facts.context.sampled ? timeline.facts.context.traceId : null,
  model: timeline.facts.model,
  started_ms: timeline.startedMs,
  state: timeline.state,
  finish_reason: timeline.finishReasons[0] ?? null,
  prompt_tokens: timeline.facts.promptTokens,
  completion_tokens: timeline.completionTokens,
  passes: timeline.passes,
  ttft_ms: timeline.firstTokenMs ?? null,
  total_ms: timeline.totalMs ?? null,
  workers: timeline.workers,
});

function detailOf(timeline: RequestTimeline): RequestDetail {
  const spans = timeline.sequences.flatMap(timelineSpans);
  return {
    ...summaryOf(timeline),
    spans: spans.map(({ name, startMs, endMs, attributes }) => ({
      name,
      start_ms: startMs,
      end_ms: endMs,
      attributes,
    })),
    passes_run: spans
      .flatMap(({ runs }) => runs)
      .filter(({ phase }) => phase === 'block')
      .map((run) => ({
        token: run.token,
        position: run.start,
        rows: run.rows,
        depth: run.depth,
        worker: run.worker,
        step: run.step,
        step_rows: run.stepRows,
        step_depths: run.stepDepths,
        start_ms: run.startMs,
        wait_ms: run.waitMs,
        run_ms: run.runMs,
        hop_ms: run.hopMs,
        signal: run.signal,
        exited: run.exited,
      })),
    events: timeline.sequences.flatMap(({ events }) =>
      events.map(({ atMs, name, attributes }) => ({ at_ms: atMs, name, attributes })),
    ),
    truncated: timeline.truncated,
  };
}

import type { RequestTimeline } from './request-timeline.ts';

/** What the log says of a request at its end: its ids, times, tokens, passes and workers, and nothing of what was asked or answered. */
export const requestLine = (timeline: RequestTimeline) => ({
  requestId: timeline.facts.id,
  traceId: timeline.facts.context.traceId,
  model: timeline.facts.model,
  state: timeline.state,
  code: timeline.error,
  cause: timeline.cancelledFor,
  finishReason: timeline.finishReasons[0],
  promptTokens: timeline.facts.promptTokens,
  completionTokens: timeline.completionTokens,
  passes: timeline.passes,
  queueMs: rounded(timeline.sequences[0]?.stays[0]?.askedMs),
  firstTokenMs: rounded(timeline.firstTokenMs),
  totalMs: rounded(timeline.totalMs),
  workers: timeline.workers,
});

const rounded = (ms: number | undefined): number | undefined =>
  ms === undefined ? undefined : Math.round(ms * 100) / 100;

import { ATTRIBUTES, type Attributes, derivedRoot, derivedSpanId, type FinishedSpan } from '@rondo/chassis';
import { runParts, stepParts } from '@rondo/core';
import type { RequestTimeline } from './request-timeline.ts';
import type { SequenceTimeline } from './sequence-timeline.ts';
import { endOf, type PlacedRun, timelineSpans } from './timeline-spans.ts';

/**
 * The spans of one request: its root, below it those of each sequence, and below these one for each run. A run's span and the step that
 * it was part of have ids that its worker derives, too, so that each links to the other. A worker knows of sampled requests only: the runs
 * of one that was merely slow link to no step, and say themselves what it did.
 */
export function requestSpans(timeline: RequestTimeline): FinishedSpan[] {
  const { traceId, spanId: root, sampled } = timeline.facts.context;
  const at = (ms: number) => timeline.startedMs + ms;
  const spans: FinishedSpan[] = [rootSpan(timeline)];
  for (const [choice, sequence] of timeline.sequences.entries()) {
    const many = timeline.sequences.length > 1;
    const parent = many ? derivedSpanId(traceId, root, choice) : root;
    if (many) {
      const { endMs = timeline.totalMs! } = sequence;
      spans.push({
        ...{ name: 'choice', traceId, spanId: parent, parentSpanId: root, startMs: at(0), endMs: at(endMs) },
        attributes: { 'rondo.choice': choice },
        events: eventsOf(sequence, at),
      });
    }
    for (const [index, { name, startMs, endMs, attributes, runs }] of timelineSpans(sequence).entries()) {
      const spanId = derivedSpanId(traceId, parent, name, index);
      const place = { traceId, spanId, parentSpanId: parent };
      spans.push({ name, ...place, startMs: at(startMs), endMs: at(endMs), attributes });
      for (const run of runs) {
        const links = sampled ? [derivedRoot(...stepParts(run))] : [];
        spans.push({ ...runSpan(run, traceId, spanId, at), links });
      }
    }
  }
  return spans;
}

function rootSpan(timeline: RequestTimeline): FinishedSpan {
  const { facts, asked, sequences, startedMs, totalMs, state, error } = timeline;
  const { context, operation, model, background } = facts;
  const { sampling } = asked ?? {};
  return {
    name: `${background?.name ?? operation} ${facts.asked}`,
    kind: background ? 'internal' : 'server',
    traceId: context.traceId,
    spanId: context.spanId,
    parentSpanId: context.parentSpanId,
    startMs: startedMs,
    endMs: startedMs + totalMs!,
    attributes: {
      [ATTRIBUTES.operation]: operation,
      [ATTRIBUTES.provider]: 'rondo',
      [ATTRIBUTES.requestModel]: facts.asked,
      [ATTRIBUTES.requestMaxTokens]: asked?.maxTokens,
      [ATTRIBUTES.requestTemperature]: sampling?.temperature,
      [ATTRIBUTES.requestTopP]: sampling?.topP,
      [ATTRIBUTES.requestTopK]: sampling?.topK,
      [ATTRIBUTES.requestSeed]: sampling?.seed,
      [ATTRIBUTES.requestPresencePenalty]: sampling?.presencePenalty,
      [ATTRIBUTES.requestFrequencyPenalty]: sampling?.frequencyPenalty,
      [ATTRIBUTES.requestChoices]: sequences.length,
      [ATTRIBUTES.requestStream]: facts.stream,
      [ATTRIBUTES.responseModel]: model,
      [ATTRIBUTES.finishReasons]: timeline.finishReasons,
      [ATTRIBUTES.inputTokens]: facts.promptTokens,
      [ATTRIBUTES.outputTokens]: timeline.completionTokens,
      [ATTRIBUTES.errorType]: state === 'failed' ? error : undefined,
      'rondo.request_id': facts.id,
      'rondo.passes': timeline.passes,
      'rondo.first_token_ms': timeline.firstTokenMs,
      'rondo.workers': timeline.workers,
      'rondo.truncated': timeline.truncated || undefined,
      ...background?.attributes,
    },
    links: background?.links,
    events: [
      ...(sequences.length === 1 ? eventsOf(sequences[0]!, (ms) => startedMs + ms) : []),
      ...(state === 'cancelled' ? [cancelledEvent(timeline)] : []),
    ],
    error: state === 'failed' ? error : undefined,
  };
}

const cancelledEvent = ({ startedMs, totalMs, cancelledFor }: RequestTimeline) => ({
  name: 'cancelled',
  atMs: startedMs + totalMs!,
  attributes: { 'rondo.cause': cancelledFor },
});

const eventsOf = ({ events }: SequenceTimeline, at: (ms: number) => number) =>
  events.map(({ atMs, ...event }) => ({ ...event, atMs: at(atMs) }));

function runSpan(
  run: PlacedRun,
  traceId: string,
  parentSpanId: string,
  at: (ms: number) => number,
): FinishedSpan {
  return {
    name: run.phase === 'block' ? `pass ${run.depth}` : run.phase,
    traceId,
    spanId: derivedSpanId(...runParts(traceId, run)),
    parentSpanId,
    startMs: at(run.startMs),
    endMs: at(endOf(run)),
    attributes: runAttributes(run),
  };
}

const runAttributes = (run: PlacedRun): Attributes => ({
  'rondo.depth': run.phase === 'block' ? run.depth : undefined,
  'rondo.stage': run.stage ?? undefined,
  'rondo.worker': run.worker,
  'rondo.position': run.start,
  'rondo.rows': run.rows,
  'rondo.token': run.token ?? undefined,
  'rondo.step': run.step,
  'rondo.step_rows': run.stepRows,
  'rondo.step_depths': run.stepDepths,
  'rondo.wait_ms': run.waitMs,
  'rondo.run_ms': run.runMs,
  'rondo.hop_ms': run.hopMs ?? undefined,
  'rondo.settle_ms': run.settleMs ?? undefined,
  'rondo.exit_signal': run.signal ?? undefined,
  'rondo.exited': run.exited || undefined,
});

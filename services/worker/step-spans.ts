import { derivedRoot, derivedSpanId, parseTraceparent, type Telemetry } from '@rondo/chassis';
import { runParts, stepParts } from '@rondo/core';
import { rowsOf } from './batch.ts';
import { depthOf, stepDepthsOf } from './chunk.ts';
import type { EndedRun } from './run-recorder.ts';

/** Exports a root span for each step that ran rows of a sampled request, linked to the span of each such run. */
export class StepSpans {
  readonly #telemetry: Telemetry;

  constructor(telemetry: Telemetry) {
    this.#telemetry = telemetry;
  }

  ran({ worker, step, phase, chunks, beganMs, endedMs, head }: EndedRun): void {
    const links = chunks.flatMap((chunk) => {
      const { traceId } = parseTraceparent(chunk.tenant.traceparent) ?? {};
      if (traceId === undefined) return [];
      const depth = phase === 'block' ? depthOf(chunk) : 0;
      return [
        {
          traceId,
          spanId: derivedSpanId(...runParts(traceId, { worker, step, phase, depth, start: chunk.start })),
        },
      ];
    });
    if (links.length === 0) return;
    this.#telemetry.export([
      {
        name: 'step',
        ...derivedRoot(...stepParts({ worker, step })),
        startMs: performance.timeOrigin + beganMs,
        endMs: performance.timeOrigin + endedMs,
        attributes: {
          'rondo.worker': worker,
          'rondo.step': step,
          'rondo.phase': phase,
          'rondo.step_rows': rowsOf(chunks),
          'rondo.step_depths': stepDepthsOf(phase, chunks),
          'rondo.sequences': new Set(chunks.map(({ tenant }) => tenant)).size,
          'rondo.head_rows': head?.rows.length,
        },
        links,
      },
    ]);
  }
}

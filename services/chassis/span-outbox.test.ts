import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ReadableSpan, SpanExporter } from '@opentelemetry/sdk-trace';
import { LIMITS } from '@rondo/core';
import { createLog } from './log.ts';
import { Metrics } from './metrics.ts';
import { SpanOutbox } from './span-outbox.ts';

const spans = (count: number) => Array.from({ length: count }, () => () => ({}) as ReadableSpan);

/** An outbox whose receiver takes a batch when the test says so. */
function held() {
  const metrics = new Metrics();
  const batches: { readonly size: number; take(error?: Error): void }[] = [];
  const exporter: SpanExporter = {
    export: (batch, done) =>
      batches.push({ size: batch.length, take: (error) => done(error ? { code: 1, error } : { code: 0 }) }),
    shutdown: async () => {},
  };
  const outbox = new SpanOutbox({ exporter, metrics, log: createLog('test', { level: 'silent' }) });
  const counted = async (outcome: string) => {
    const [, count] =
      new RegExp(`^rondo_trace_spans_total\\{outcome="${outcome}"\\} (\\d+)$`, 'm').exec(
        await metrics.render(),
      ) ?? [];
    return Number(count);
  };
  return { outbox, batches, counted };
}

test('spans beyond those that may wait are dropped and counted, and nobody waits for the receiver', async () => {
  const { outbox, batches, counted } = held();
  outbox.put(spans(LIMITS.traceSpansWaiting));
  const sent = batches[0]!.size;
  assert.ok(sent > 0);
  // What the receiver has been given makes room for as many.
  outbox.put(spans(sent + 3));
  assert.equal(await counted('dropped'), 3);
  assert.equal(batches.length, 1, 'one export is under way at a time');
});

test('at the end a receiver that takes nothing is asked once more, not for each batch that waits', async () => {
  const { outbox, batches, counted } = held();
  outbox.put(spans(LIMITS.traceSpansWaiting));
  const sent = batches[0]!.size;
  const closed = outbox.close();
  batches[0]!.take(new Error('away'));
  await closed;
  assert.equal(batches.length, 1);
  assert.deepEqual(
    [await counted('failed'), await counted('dropped')],
    [sent, LIMITS.traceSpansWaiting - sent],
  );
});

test('what the receiver does not take is counted, and what comes later is sent all the same', async () => {
  const { outbox, batches, counted } = held();
  outbox.put(spans(3));
  const closed = outbox.close();
  batches[0]!.take(new Error('away'));
  await closed;
  assert.deepEqual([await counted('failed'), await counted('exported')], [3, 0]);
  outbox.put(spans(2));
  const again = outbox.close();
  batches[1]!.take();
  await again;
  assert.deepEqual([await counted('failed'), await counted('exported')], [3, 2]);
});

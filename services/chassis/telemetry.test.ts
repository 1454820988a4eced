import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { FinishedSpan } from './finished-span.ts';
import { createLog } from './log.ts';
import { Metrics } from './metrics.ts';
import { Telemetry } from './telemetry.ts';

const SPAN: FinishedSpan = {
  ...{ name: 'span', traceId: 'a'.repeat(32), spanId: 'b'.repeat(16) },
  ...{ startMs: 0, endMs: 1, attributes: {} },
};

test('spans of a request that has ended are made in a later turn than its answer, or when all ends', async () => {
  const exported: string[] = [];
  const telemetry = new Telemetry({
    exporter: {
      export(spans, done) {
        exported.push(...spans.map(({ name }) => name));
        done({ code: 0 });
      },
      shutdown: async () => {},
    },
    ...{ sample: 1, serviceName: 'test', metrics: new Metrics() },
    log: createLog('test', { level: 'silent' }),
  });
  const made: string[] = [];
  const later = (name: string) =>
    telemetry.exportLater(() => {
      made.push(name);
      return [{ ...SPAN, name }];
    });
  later('first');
  later('second');
  await Promise.resolve();
  assert.deepEqual(made, []);
  await new Promise(setImmediate);
  assert.deepEqual(made, ['first', 'second']);
  later('last');
  await telemetry.close();
  assert.deepEqual(exported, ['first', 'second', 'last']);
});

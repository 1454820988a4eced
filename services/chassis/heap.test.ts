import assert from 'node:assert/strict';
import { constants, type PerformanceEntry, PerformanceObserver } from 'node:perf_hooks';
import { test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { collectBuffersYoung } from './heap.ts';

test('typed arrays that die young are freed without a collection of the whole heap', async () => {
  collectBuffersYoung();
  const kinds: number[] = [];
  const kindOf = (entry: PerformanceEntry) => (entry as unknown as { detail: { kind: number } }).detail.kind;
  const observer = new PerformanceObserver((list) => kinds.push(...list.getEntries().map(kindOf)));
  observer.observe({ entryTypes: ['gc'] });
  const recent: Float32Array[] = [];
  for (let turn = 0; turn < 4000; turn++) {
    recent[turn % 8] = new Float32Array(65_536);
    if (turn % 20 === 0) await setImmediate();
  }
  await setImmediate();
  observer.disconnect();
  const count = (kind: number) => kinds.filter((other) => other === kind).length;
  const whole = count(constants.NODE_PERFORMANCE_GC_MAJOR);
  assert.ok(count(constants.NODE_PERFORMANCE_GC_MINOR) > whole, `kinds ${kinds}`);
});

import assert from 'node:assert/strict';
import { constants, type PerformanceEntry, PerformanceObserver } from 'node:perf_hooks';
import { test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { collectBuffersYoung } from './heap.ts';

/** Collections of the young and of the whole heap while a gigabyte of typed arrays comes and goes, 2 MiB at a time. */
async function collections(): Promise<{ young: number; whole: number }> {
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
  return {
    young: count(constants.NODE_PERFORMANCE_GC_MINOR),
    whole: count(constants.NODE_PERFORMANCE_GC_MAJOR),
  };
}

test('typed arrays that die young are freed without a collection of the whole heap', async () => {
  // In a heap that is as small as at the start V8 collects the whole of it for other reasons as well, the more the slower it gets on.
  const byItself = await collections();
  collectBuffersYoung();
  const { young, whole } = await collections();
  assert.ok(young > whole, `${young} of the young, ${whole} of the whole heap`);
  assert.ok(2 * whole < byItself.whole, `${whole} of the whole heap, ${byItself.whole} by itself`);
});

import assert from 'node:assert/strict';
import { constants, type PerformanceEntry, PerformanceObserver } from 'node:perf_hooks';
import { test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { LIMITS } from '@rondo/core';
import { collectBuffersYoung } from './heap.ts';
import { YoungBuffers } from './young-buffers.ts';

function watched() {
  const state = { bytes: 100 * LIMITS.youngBufferBytes, collections: 0 };
  const buffers = new YoungBuffers(
    () => state.bytes,
    () => state.collections++,
  );
  const grow = (share: number) => {
    state.bytes += share * LIMITS.youngBufferBytes;
    buffers.check();
    return state.collections;
  };
  return { grow };
}

test('young buffers are collected each time they have grown by so much, whatever was there before', () => {
  const { grow } = watched();
  assert.deepEqual([0, 0.5, 0.5, 0.75, 0.25].map(grow), [0, 0, 1, 1, 2]);
});

test('what became free in between makes room for as much', () => {
  const { grow } = watched();
  assert.deepEqual([0, 0.75, -1, 0.75, 0.25].map(grow), [0, 0, 0, 0, 1]);
});

test('buffers that come and go with little else beside them cost hardly a collection of the whole heap', async () => {
  collectBuffersYoung();
  const young = new YoungBuffers();
  const kinds: number[] = [];
  const kindOf = (entry: PerformanceEntry) => (entry as unknown as { detail: { kind: number } }).detail.kind;
  const observer = new PerformanceObserver((list) => kinds.push(...list.getEntries().map(kindOf)));
  observer.observe({ entryTypes: ['gc'] });
  let last = new Float32Array(0);
  for (let turn = 0; turn < 4000; turn++) {
    last = new Float32Array(65_536);
    young.check();
    if (turn % 20 === 0) await setImmediate();
  }
  await setImmediate();
  observer.disconnect();
  assert.equal(last.length, 65_536);
  const count = (kind: number) => kinds.filter((other) => other === kind).length;
  const [minor, major] = [constants.NODE_PERFORMANCE_GC_MINOR, constants.NODE_PERFORMANCE_GC_MAJOR].map(
    count,
  );
  assert.ok(minor! > 10 * major!, `kinds ${kinds}`);
});

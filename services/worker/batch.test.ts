import assert from 'node:assert/strict';
import { test } from 'node:test';
import { stackBatch } from './batch.ts';
import type { Chunk } from './chunk.ts';
import type { Tenant } from './tenant.ts';

const HIDDEN = 4;
const tenant = { residency: { reach: () => [1], drain: () => [] } } as unknown as Tenant;

function arrived(rows: number): Chunk {
  const input = new Float32Array(rows * HIDDEN).fill(rows);
  const at = { tenant, phase: 'block', passes: 0, start: 0, rows } as const;
  return { ...at, input, own: input, survival: 1, wantLogits: false, owed: 0 };
}

const inputOf = (...chunks: Chunk[]) => stackBatch('block', chunks, HIDDEN).input;

test('the states of one chunk that nobody else holds are run where they are', () => {
  const chunk = arrived(2);
  assert.equal(inputOf(chunk), chunk.input);
});

test('states that run beside others, or lie in memory with others, are copied', () => {
  const [first, second] = [arrived(1), arrived(2)];
  assert.deepEqual([...inputOf(first, second)], [1, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2]);
  const part = { ...second, rows: 1, input: second.input.subarray(HIDDEN) };
  assert.notEqual(inputOf(part).buffer, second.input.buffer);
});

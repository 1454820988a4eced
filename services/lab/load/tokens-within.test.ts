import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { RequestRecord } from './request-record.ts';
import { tokensWithin } from './tokens-within.ts';

const record = (sentMs: number, endedMs: number, tokenMs: readonly number[]): RequestRecord => ({
  sentMs,
  endedMs,
  tokenMs,
  outcome: 'ended',
  status: 200,
  passes: { prompt: 0, generated: 0 },
});

test('a request counts for the part of its time that lies within, wherever its tokens came', () => {
  const late = record(100, 200, [197, 198, 199, 200]);
  assert.equal(tokensWithin([late], 0, 300), 4);
  assert.equal(tokensWithin([late], 0, 150), 2);
  assert.equal(tokensWithin([late], 125, 150), 1);
  assert.equal(tokensWithin([late], 200, 300), 0);
});

test('clients in step give the same rate at whatever turn one looks', () => {
  const inStep = [0, 100, 200, 300, 400].map((ms) => record(ms, ms + 100, [ms + 90, ms + 100]));
  for (const from of [50, 80, 95, 100])
    assert.ok(Math.abs(tokensWithin(inStep, from, from + 250) - 5) < 1e-9);
});

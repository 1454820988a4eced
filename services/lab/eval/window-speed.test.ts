import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { RequestRecord } from '../load/request-record.ts';
import { windowSpeed } from './window-speed.ts';

const left = (sentMs: number, ...tokenMs: number[]): RequestRecord => ({
  sentMs,
  tokenMs,
  endedMs: 3000,
  outcome: 'left',
  status: 200,
  passes: { prompt: 0, generated: 0 },
});

const WINDOW = { fromMs: 500, toMs: 3000 };

test('a first token that came in the window counts, though its request was sent before and never ended', () => {
  assert.deepEqual(windowSpeed([left(0, 900, 1900, 2900)], WINDOW), {
    tokens: 3,
    tokensPerS: 1.2,
    firstTokenMs: 900,
  });
});

test('tokens of a request that began before the window are a speed without a first token', () => {
  const { tokens, firstTokenMs } = windowSpeed([left(0, 400, 1400, 2400), left(2900)], WINDOW);
  assert.deepEqual([tokens, firstTokenMs], [2, Number.NaN]);
});

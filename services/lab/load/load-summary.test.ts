import assert from 'node:assert/strict';
import { test } from 'node:test';
import { summarize } from './load-summary.ts';
import { quantile } from './quantile.ts';
import type { RequestRecord } from './request-record.ts';

test('quantiles lie between their neighbours', () => {
  assert.equal(quantile([4, 1, 3, 2], 0), 1);
  assert.equal(quantile([4, 1, 3, 2], 0.5), 2.5);
  assert.equal(quantile([4, 1, 3, 2], 1), 4);
  assert.equal(quantile([5], 0.99), 5);
  assert.ok(Number.isNaN(quantile([], 0.5)));
});

const record = (
  sentMs: number,
  tokenMs: readonly number[],
  more: Partial<RequestRecord> = {},
): RequestRecord => ({
  sentMs,
  tokenMs,
  endedMs: tokenMs.at(-1) ?? sentMs,
  outcome: 'ended',
  status: 200,
  passes: { prompt: 8, generated: 2 * Math.max(0, tokenMs.length - 1) },
  ...more,
});

test('only what happens inside the window counts', () => {
  const summary = summarize(
    [
      // Sent before the window: its tokens inside count, its first-token time does not.
      record(0, [50, 100, 110, 130]),
      record(100, [120, 150, 190]),
      // Breaks off after the window has ended.
      record(150, [180, 220], { outcome: 'left', passes: { prompt: 0, generated: 0 } }),
      record(160, [], { outcome: 'refused', status: 429 }),
      record(170, [], { outcome: 'failed', status: 0 }),
      record(200, [210]),
    ],
    { fromMs: 100, toMs: 200 },
  );
  assert.deepEqual([summary.sent, summary.ended, summary.refused, summary.failed], [4, 1, 1, 1]);
  assert.equal(summary.tokens, 7);
  assert.equal(summary.tokensPerS, 70);
  assert.equal(summary.firstTokenMs.p50, 20);
  assert.equal(summary.wholeMs.p50, 90);
  // 50→100, 100→110, 110→130, 120→150, 150→190.
  assert.equal(summary.gapMs.p50, 30);
  assert.equal(summary.passesPerToken, 2);
});

test('the steady rate of bursts does not depend on where the window cuts', () => {
  // 64 tokens every 400 ms, spread over 20 ms.
  const bursts = Array.from({ length: 64 }, (_, at) =>
    record(
      0,
      Array.from({ length: 40 }, (_, burst) => 400 * burst + (20 * at) / 64),
    ),
  );
  for (let fromMs = 1000; fromMs < 1400; fromMs += 37) {
    const { steadyTokensPerS } = summarize(bursts, { fromMs, toMs: fromMs + 5000 });
    assert.ok(Math.abs(steadyTokensPerS / 160 - 1) < 0.01, `${steadyTokensPerS} from ${fromMs}`);
  }
});

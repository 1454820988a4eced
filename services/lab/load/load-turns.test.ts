import assert from 'node:assert/strict';
import { test } from 'node:test';
import { summarize } from './load-summary.ts';
import { joinTurns } from './load-turns.ts';
import type { RequestRecord } from './request-record.ts';

const record = (sentMs: number, tokenMs: readonly number[]): RequestRecord =>
  ({
    sentMs,
    tokenMs,
    endedMs: tokenMs.at(-1)!,
    outcome: 'ended',
    passes: { prompt: 1, generated: tokenMs.length - 1 },
  }) as unknown as RequestRecord;

test('turns count as one run without the time between them', () => {
  const turns = [
    { records: [record(100, [110, 130])], window: { fromMs: 100, toMs: 200 } },
    { records: [record(5000, [5010, 5050, 5060])], window: { fromMs: 5000, toMs: 5100 } },
  ];
  const { records, window } = joinTurns(turns);
  assert.deepEqual(window, { fromMs: 100, toMs: 300 });
  assert.deepEqual(
    records.map(({ tokenMs }) => tokenMs),
    [
      [110, 130],
      [210, 250, 260],
    ],
  );
  const { sent, ended, tokens, tokensPerS, gapMs } = summarize(records, window);
  assert.deepEqual({ sent, ended, tokens, tokensPerS }, { sent: 2, ended: 2, tokens: 5, tokensPerS: 25 });
  assert.equal(gapMs.p50, 20);
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { RequestRecord } from '../load/request-record.ts';
import { type BatchWindow, batchReport, type Load } from './batch-report.ts';

/** A request whose tokens come every `gapMs`, the first after three times that. */
const record = (gapMs: number): RequestRecord => ({
  sentMs: 0,
  outcome: 'ended',
  status: 200,
  tokenMs: [3, 4, 5, 6].map((place) => place * gapMs),
  endedMs: 6 * gapMs,
  passes: { prompt: 0, generated: 0 },
});

const window = (load: Load, gapsMs: readonly number[], tokens: number): BatchWindow => ({
  load,
  records: gapsMs.map(record),
  tokens,
  interactiveTokens: 4 * gapsMs.length,
  ms: 2000,
});

const report = (besideMs: number, tokens: number) =>
  batchReport({
    windows: [
      window('interactive', [10], 4),
      window('batch', [], 200),
      window('both', [besideMs], tokens),
      window('interactive', [10], 4),
      window('batch', [], 200),
      window('both', [besideMs], tokens),
    ],
    ratePerS: 1,
    linesMax: 64,
  });

test('latency beside a batch is held against that without, throughput against that of the batch alone', () => {
  const { rows, goals } = report(15, 180);
  assert.deepEqual(
    rows.map((row) => [row['gap p99 ms'], row['first token p50 ms'], row['batch tok/s'], row['all tok/s']]),
    [
      [10, 30, 0, 2],
      ['', '', 100, 100],
      [15, 45, 88, 90],
    ],
  );
  assert.deepEqual(
    goals.map(({ measured, met }) => [measured, met]),
    [
      [1.5, true],
      [1.5, true],
      [90, true],
      [0, true],
    ],
  );
});

test('a p99 is judged with the counts it is of in sight', () => {
  const names = report(15, 180).goals.map(({ name }) => name);
  assert.match(names[0]!, /p99 \(of 6 to 6\)$/);
  assert.match(names[1]!, /p99 \(of 2 to 2\)$/);
});

test('a batch that holds up its neighbours, or that they hold up, misses its goals', () => {
  assert.deepEqual(
    report(50, 80).goals.map(({ met }) => met),
    [false, false, false, true],
  );
});

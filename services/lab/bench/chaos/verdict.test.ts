import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ChaosRecord } from './chaos-client.ts';
import { judge, pauses, stepsIn } from './verdict.ts';

const record = (ids: readonly number[], more: Partial<ChaosRecord> = {}): ChaosRecord => ({
  ...{
    id: 'a',
    sentMs: 100,
    endedMs: 200,
    outcome: 'ended',
    status: 200,
    tokenMs: [ids.map((_, at) => 110 + at ** 2)],
  },
  choices: [{ ids, text: ids.join(' '), logprobs: [], finish: 'length' }],
  ...more,
});
const IDS = [5, 6, 7, 8, 9, 10, 11, 12];
const judged = (found: ChaosRecord) =>
  judge({
    coordinator: 0,
    record: found,
    known: {
      request: { path: '/v1/completions', body: { stream: true }, choices: 1 },
      answer: record(IDS),
    },
  });

test('an answer that is as the quiet one has nothing wrong', () => {
  const { wrong, tokens, lost } = judged(record(IDS));
  assert.deepEqual([wrong, tokens, lost], [[], 8, 0]);
});

test('of a stream that broke off, the tokens that never came are lost', () => {
  const { wrong, lost } = judged(record(IDS.slice(0, 5), { outcome: 'failed', error: 'worker lost' }));
  assert.equal(lost, 3);
  assert.match(wrong[0]!, /^failed: worker lost/);
});

test('a client that left lost nothing, and what it got is compared', () => {
  const { wrong, tokens, lost } = judged(record(IDS.slice(0, 5), { outcome: 'left' }));
  assert.deepEqual([wrong, tokens, lost], [[], 5, 0]);
  assert.equal(judged(record([5, 99], { outcome: 'left' })).different, 1);
});

test('what is refused is wrong by itself, not by its tokens', () => {
  const { wrong, tokens, lost } = judged(record([], { outcome: 'refused', status: 503, error: 'none' }));
  assert.deepEqual([wrong, tokens, lost], [['refused with 503: none'], 0, 0]);
});

test('pauses lie between the tokens of one choice, steps between sending and end', () => {
  const verdict = judged(record(IDS.slice(0, 3)));
  assert.deepEqual(
    pauses([verdict]).map(({ fromMs, toMs }) => [fromMs, toMs]),
    [
      [110, 111],
      [111, 114],
    ],
  );
  const step = (atMs: number) => ({ action: 'kill' as const, slot: 'w', address: 'a', atMs });
  assert.deepEqual(
    stepsIn(verdict, [step(99), step(150), step(201)]).map(({ atMs }) => atMs),
    [150],
  );
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ReadyChunk } from './step-policy.ts';
import { next, prompt, row, STEP_LIMITS } from './test-step-view.ts';

/** Of two passes, where half of the tokens leave after the first: a row inside counts for (2 / 1.5)⁵ = 4.21 of others that take as long as a run. */
const HALF_LEAVE = { expectedPasses: [1.5, 2] };

test('rows inside the loop go ahead when what their waits count for more is worth a run', () => {
  const others = [row('block'), row('block'), row('coda', 1), row('prelude')];
  const inside = (count: number) => Array.from({ length: count }, () => row('block', 1));
  const ahead = (ready: readonly ReadyChunk[], fixedMs = 8) =>
    next(ready, 'depth', true, 64, 0, { costs: { fixedMs, rowMs: 2 }, ...HALF_LEAVE })!;
  assert.deepEqual(ahead([...others, ...inside(2)]), {
    phase: 'block',
    chunks: inside(2),
    withHead: false,
  });
  assert.equal(ahead([...others, ...inside(1)]).phase, 'prelude', 'one is worth 6.4 ms');
  assert.equal(ahead([...others, ...inside(2)], 40).phase, 'prelude');
  assert.equal(
    ahead([...others.slice(2), ...inside(2)]).phase,
    'coda',
    'they would hardly wait for two others',
  );
  const unknown = (known: Parameters<typeof next>[5]) =>
    next([...others, ...inside(2)], 'depth', true, 64, 0, known)!.phase;
  assert.equal(unknown(HALF_LEAVE), 'prelude', 'nobody has measured');
  assert.equal(unknown({ costs: { fixedMs: 5, rowMs: 2 } }), 'prelude', 'no token is out yet');
});

test('all depths together none goes ahead', () => {
  const known = { costs: { fixedMs: 6, rowMs: 2 }, expectedPasses: [1.25, 2] };
  const ready = [row('block'), row('block', 1), row('block', 1)];
  assert.equal(next(ready, 'depth', true, 64, 0, known)!.chunks.length, 2);
  assert.equal(next(ready, 'together', true, 64, 0, known)!.chunks.length, 3);
});

test('one other counts for two: its way out and in lie between runs as well', () => {
  const known = { costs: { fixedMs: 6, rowMs: 2 }, expectedPasses: [1.25, 2] };
  const ready = [row('prelude'), row('block', 1)];
  assert.equal(next(ready, 'depth', true, 64, 0, known)!.phase, 'block', 'worth 12 ms, 5 as a row alone');
  assert.equal(next(ready.slice(1), 'depth', true, 64, 0, known)!.chunks.length, 1);
});

test('before their last pass none go ahead where all tokens take equally many, nor past prompts alone', () => {
  const inside = [row('block', 1), row('block', 3), row('block', 6)];
  const costs = { fixedMs: 1, rowMs: 2 };
  const together = (ready: readonly ReadyChunk[], expectedPasses: readonly number[]) =>
    next(ready, 'depth', true, 64, 0, { costs, expectedPasses })!.chunks;
  const ready = [...inside, row('block')];
  assert.deepEqual(new Set(together(ready, Array<number>(8).fill(8))), new Set(ready));
  const behindPrompt = [...inside, prompt('block', 40)];
  assert.deepEqual(new Set(together(behindPrompt, [4, 8, 8, 8, 8, 8, 8, 8])), new Set(behindPrompt));
});

test('rows in their last pass go ahead when a row costs more than its share of either run, and fall in step', () => {
  const all = [2, 2];
  const behind = (lastOnes: number, others: number) => {
    const ready = [
      ...Array.from({ length: others }, () => row('block')),
      ...Array.from({ length: lastOnes }, () => row('block', 1)),
    ];
    const known = { costs: { fixedMs: 4, rowMs: 2 }, expectedPasses: all };
    return next(ready, 'depth', true, 64, 0, known)!.chunks.length;
  };
  assert.equal(behind(6, 4), 6, '4/6 + 4/4 ms are less than 2');
  assert.equal(behind(4, 4), 8);
  assert.equal(behind(60, 2), 62, 'two would wait for nearly all');
  assert.equal(behind(2, 60), 62);
});

test('only those rows go ahead whose tokens take longer than the average', () => {
  const [early, late] = [row('block', 1), row('block', 3)];
  const ready = [row('block'), early, late];
  const expectedPasses = [3, 3, 3.5, 4];
  assert.deepEqual(
    next(ready, 'depth', true, 64, 0, { costs: { fixedMs: 1, rowMs: 2 }, expectedPasses })!.chunks,
    [late],
  );
});

test('a prompt inside goes along when its rows cost those that go ahead less than it would wait for the others', () => {
  const known = { costs: { fixedMs: 5, rowMs: 2 }, ...HALF_LEAVE };
  const others = Array.from({ length: 10 }, () => row('block'));
  const inside = [row('block', 1), row('block', 1), row('block', 1)];
  const beside = (rows: number) =>
    next([...others, prompt('block', rows, 1), ...inside], 'depth', true, 64, 0, known)!.chunks;
  assert.deepEqual(beside(4), [...inside, prompt('block', 4, 1)], '24 ms for 25');
  assert.deepEqual(beside(5), inside);
});

test('rows that go ahead take no background row along, and wait for its share of runs', () => {
  const known = { costs: { fixedMs: 1, rowMs: 2 }, ...HALF_LEAVE };
  const line = { ...row('block', 1), background: true };
  const ready = [line, row('block', 1), row('block', 1), row('block')];
  assert.deepEqual(next(ready, 'depth', true, 64, 0, known)!.chunks, ready.slice(1, 3));
  assert.ok(next(ready, 'depth', true, 64, STEP_LIMITS.backgroundWaitRuns, known)!.chunks.includes(line));
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { Phase } from './chunk.ts';
import { decide, type ReadyChunk } from './step-policy.ts';

const chunk = (phase: Phase, rows = 1, passes = 0): ReadyChunk => ({ phase, rows, passes });

test('nothing ready, nothing to run', () => {
  assert.equal(decide([], 'decode', 256), undefined);
});

test('prompts and decoding rows take turns, and whoever is alone runs on', () => {
  const both = [chunk('block'), chunk('block', 64)];
  assert.equal(decide(both, 'decode', 256)?.lane, 'prefill');
  assert.equal(decide(both, 'prefill', 256)?.lane, 'decode');
  assert.equal(decide([chunk('block')], 'decode', 256)?.lane, 'decode');
  assert.equal(decide([chunk('block', 2)], 'prefill', 256)?.lane, 'prefill');
});

test('what is outside the block runs first: head, coda, prelude', () => {
  const ready = [chunk('block', 1, 2), chunk('prelude'), chunk('coda'), chunk('head')];
  const order: Phase[] = [];
  while (ready.length > 0) {
    const decision = decide(ready, 'decode', 256)!;
    order.push(decision.phase);
    for (const taken of decision.chunks) ready.splice(ready.indexOf(taken), 1);
  }
  assert.deepEqual(order, ['head', 'coda', 'prelude', 'block']);
});

test('deep rows run before shallow ones, those of one depth as they came', () => {
  const ready = [chunk('block', 1, 0), chunk('block', 1, 2), chunk('block', 1, 1), chunk('block', 1, 2)];
  const { chunks } = decide(ready, 'decode', 3)!;
  assert.deepEqual(chunks, [ready[1], ready[3], ready[2]]);
});

test('chunks of prompts are counted with their padding', () => {
  const ready = [
    chunk('block', 64),
    chunk('block', 9),
    chunk('block', 64),
    chunk('block', 64),
    chunk('block', 2),
  ];
  assert.equal(decide(ready, 'decode', 256)?.chunks.length, 4);
  assert.equal(decide([chunk('head', 300)], 'decode', 256)?.chunks.length, 1, 'one chunk always fits');
});

test('a run is of one phase and one lane, within its rows, and never empty while something is ready', () => {
  const ready = fc.array(
    fc.record({
      phase: fc.constantFrom<Phase>('prelude', 'block', 'coda', 'head'),
      rows: fc.constantFrom(1, 1, 2, 17, 64),
      passes: fc.nat(4),
    }),
    { maxLength: 300 },
  );
  fc.assert(
    fc.property(ready, fc.constantFrom('decode' as const, 'prefill' as const), (chunks, last) => {
      const decision = decide(chunks, last, 256);
      assert.equal(decision === undefined, chunks.length === 0);
      if (!decision) return;
      assert.ok(decision.chunks.length > 0);
      assert.ok(decision.chunks.every(({ phase }) => phase === decision.phase));
      assert.ok(decision.chunks.every(({ rows }) => (rows === 1) === (decision.lane === 'decode')));
      assert.ok(Math.max(...decision.chunks.map(({ rows }) => rows)) * decision.chunks.length <= 256);
    }),
  );
});

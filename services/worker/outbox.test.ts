import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LIMITS, sequenceId } from '@rondo/core';
import fc from 'fast-check';
import { Arrivals } from './arrivals.ts';
import { Outbox, type OutgoingChunk } from './outbox.ts';
import type { Tenant } from './tenant.ts';

const chunk = (start: number, rows: number, hidden: number, generated = false): OutgoingChunk => ({
  sequenceId: sequenceId(generated ? 'wren' : 'robin'),
  epoch: 1,
  kind: 'live',
  depth: 1,
  start,
  rows,
  rest: 0,
  survival: 1,
  state: Float32Array.from({ length: rows * hidden }, (_, index) => start + Math.floor(index / hidden)),
  generated,
});

test('chunks arrive whole and in order, however frames and credit cut them', () => {
  const tenant = {} as Tenant;
  const sizes = fc.array(fc.integer({ min: 1, max: 90 }), { minLength: 1, maxLength: 20 });
  const credits = fc.array(fc.integer({ min: 1, max: 100 }), { minLength: 1, maxLength: 5 });
  const hidden = fc.constantFrom(4, 2048, 40_000);
  fc.assert(
    fc.property(sizes, credits, hidden, fc.constantFrom('f32', 'f16'), (rows, given, width, activations) => {
      const outbox = new Outbox(activations);
      const sent: OutgoingChunk[] = [];
      let start = 0;
      for (const count of rows) {
        sent.push(chunk(start, count, width));
        outbox.put(sent.at(-1)!);
        start += count;
      }
      const arrivals = new Arrivals();
      const arrived = [];
      for (let turn = 0; arrived.length < sent.length; turn++) {
        const credit = given[turn % given.length]!;
        const frame = outbox.take(credit);
        const count = frame.reduce((sum, part) => sum + part.rows, 0);
        assert.ok(count >= 1 && count <= credit);
        assert.ok(count === 1 || count * width * (activations === 'f32' ? 4 : 2) <= LIMITS.frameBytes);
        for (const part of frame) {
          const whole = arrivals.join(tenant, part);
          if (whole) arrived.push(whole);
        }
      }
      assert.deepEqual(
        arrived,
        sent.map(({ generated: _, ...whole }) => whole),
      );
      assert.deepEqual(outbox.take(100), []);
    }),
    { numRuns: 40 },
  );
});

test('generated rows go before prompts, without credit nothing goes, and what ended is forgotten', () => {
  const outbox = new Outbox('f32');
  outbox.put(chunk(0, 64, 8));
  outbox.put(chunk(500, 1, 8, true));
  assert.deepEqual(outbox.take(0), []);
  assert.deepEqual(
    outbox.take(40).map(({ start, rows, rest }) => [start, rows, rest]),
    [[500, 1, 0]],
  );
  assert.deepEqual(
    outbox.take(40).map(({ start, rows, rest }) => [start, rows, rest]),
    [[0, 40, 24]],
  );
  outbox.drop(sequenceId('robin'), 1);
  assert.deepEqual(outbox.take(40), []);
});

test('generated rows do not overtake the prompt of their own sequence', () => {
  const outbox = new Outbox('f32');
  const own = (start: number, rows: number, generated: boolean) => ({ ...chunk(start, rows, 8), generated });
  outbox.put(own(0, 64, false));
  outbox.put(own(64, 1, true));
  outbox.put(chunk(500, 1, 8, true));
  const starts = () => outbox.take(40).map(({ start, rows }) => [start, rows]);
  assert.deepEqual(starts(), [[500, 1]]);
  assert.deepEqual(starts(), [[0, 40]]);
  assert.deepEqual(starts(), [
    [40, 24],
    [64, 1],
  ]);
  outbox.put(own(65, 1, true));
  assert.deepEqual(starts(), [[65, 1]]);
});

test('parts that do not belong together are refused', () => {
  const arrivals = new Arrivals();
  const tenant = {} as Tenant;
  assert.equal(arrivals.join(tenant, { ...chunk(0, 4, 2), rest: 4 }), undefined);
  assert.throws(() => arrivals.join(tenant, chunk(5, 4, 2)), { code: 'PROTOCOL_MISMATCH' });
  assert.throws(() => arrivals.join(tenant, { ...chunk(4, 4, 2), depth: 2 }), { code: 'PROTOCOL_MISMATCH' });
  assert.equal(arrivals.join(tenant, chunk(4, 4, 2))?.rows, 8);
});

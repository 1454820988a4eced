import assert from 'node:assert/strict';
import { test } from 'node:test';
import { pickRows, spreadRows } from './pick-rows.ts';

const STATES = Float32Array.from({ length: 8 }, (_, at) => at);

test('neighbouring rows are seen where they lie, others are copied', () => {
  const near = pickRows(STATES, [1, 2], 2);
  assert.deepEqual([...near], [2, 3, 4, 5]);
  assert.equal(near.buffer, STATES.buffer);
  const apart = pickRows(STATES, [0, 3], 2);
  assert.deepEqual([...apart], [0, 1, 6, 7]);
  assert.notEqual(apart.buffer, STATES.buffer);
});

test('picked rows go back to where they were, and no number is where none was picked', () => {
  const { NaN: none } = Number;
  assert.deepEqual(
    [...spreadRows(pickRows(STATES, [0, 3], 2), [0, 3], 4, 2)],
    [0, 1, none, none, none, none, 6, 7],
  );
  assert.deepEqual([...spreadRows(new Float32Array(0), [], 1, 2)], [none, none]);
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { HopTime } from './hop-time.ts';

test('a hop is what rows take without the way back of the answer', () => {
  const hop = new HopTime();
  assert.equal(hop.hopMs, 0);
  hop.word(0.6);
  assert.equal(hop.hopMs, 0.3, 'before any rows: half of a word there and back');
  hop.word(5);
  assert.equal(hop.rows(2.5), 2.2, 'the way back is that of the quickest word');
  assert.equal(hop.hopMs, 2.2);
  assert.equal(hop.rows(4.5), 4.2);
  assert.ok(hop.hopMs > 2.2 && hop.hopMs < 4);
  assert.equal(hop.rows(0.1), 0);
});

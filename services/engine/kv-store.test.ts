import assert from 'node:assert/strict';
import { test } from 'node:test';
import { KvStore, pageFloatsOf } from './kv-store.ts';

const shape = { hidden: 8, heads: 4, kvHeads: 2, headDim: 3, vocab: 10, context: 64 };
const [layers, positions, pages] = [2, 4, 5];

test('a copied slot equals its source in every layer, part and head, and the other slots stay as they are', () => {
  const pageFloats = pageFloatsOf(shape, layers, positions);
  const data = Float32Array.from({ length: pages * pageFloats }, (_, index) => index);
  new KvStore(data, shape, layers, positions).copy({ fromPage: 1, toPage: 4, slot: 2 });
  for (let at = 0; at < pageFloats; at++) {
    const slot = Math.floor(at / shape.headDim) % positions;
    assert.equal(data[4 * pageFloats + at], (slot === 2 ? 1 : 4) * pageFloats + at);
  }
  assert.ok(data.subarray(0, 4 * pageFloats).every((value, index) => value === index));
});

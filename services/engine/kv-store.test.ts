import assert from 'node:assert/strict';
import { test } from 'node:test';
import { KvStore } from './kv-store.ts';

const shape = { hidden: 8, heads: 4, kvHeads: 2, headDim: 3, vocab: 10, context: 64 };
const [layers, positions, pages] = [2, 4, 5];

/** New K/V whose every float tells where it belongs. */
function numbered(chunks: number, rowsPadded: number) {
  const data = new Float32Array(layers * 2 * chunks * shape.kvHeads * rowsPadded * shape.headDim);
  return { data: data.map((_, index) => index + 1), chunks, rowsPadded };
}

/** Where float `dim` of one head's slot lies: [page][slice][head][slot][dim]. */
const at = (page: number, slice: number, head: number, slot: number, dim: number) =>
  (((page * layers * 2 + slice) * shape.kvHeads + head) * positions + slot) * shape.headDim + dim;

test('a written row lands in its page and slot for every layer, part and head, and nowhere else', () => {
  const store = new KvStore(shape, layers, positions, pages);
  const kv = numbered(2, 3);
  store.write(kv, 1, 2, 3, 1);
  let written = 0;
  for (let slice = 0; slice < layers * 2; slice++) {
    for (let head = 0; head < shape.kvHeads; head++) {
      for (let dim = 0; dim < shape.headDim; dim++) {
        const source = (((slice * 2 + 1) * shape.kvHeads + head) * 3 + 2) * shape.headDim + dim;
        assert.equal(store.data[at(3, slice, head, 1, dim)], kv.data[source]);
        written++;
      }
    }
  }
  assert.equal(store.data.filter((value) => value !== 0).length, written);
});

test('a copied slot equals its source and leaves the other slots alone', () => {
  const store = new KvStore(shape, layers, positions, pages);
  store.write(numbered(1, 1), 0, 0, 1, 2);
  store.copy({ fromPage: 1, toPage: 4, slot: 2 });
  for (let slot = 0; slot < positions; slot++) {
    assert.equal(store.data[at(4, 3, 1, slot, 2)], slot === 2 ? store.data[at(1, 3, 1, 2, 2)] : 0);
  }
});

test('clearing a page leaves its neighbours', () => {
  const store = new KvStore(shape, layers, positions, pages);
  store.data.fill(Number.NaN);
  store.clear(Int32Array.of(2));
  const pageFloats = store.data.length / pages;
  assert.equal(store.data.indexOf(0), 2 * pageFloats);
  assert.equal(store.data.filter((value) => value === 0).length, pageFloats);
});

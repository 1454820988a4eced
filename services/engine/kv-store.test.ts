import assert from 'node:assert/strict';
import { test } from 'node:test';
import { KvStore, layerFloatsOf, layerMajor, pageMajor } from './kv-store.ts';

const shape = { hidden: 8, heads: 4, kvHeads: 2, headDim: 3, vocab: 10, context: 64 };
const [layers, positions, pages] = [2, 4, 5];
const layerFloats = layerFloatsOf(shape, positions);

for (const [name, layout] of [
  ['page by page', pageMajor(shape, layers, positions)],
  ['layer by layer', layerMajor(shape, layers, positions, pages)],
] as const) {
  const pageOf = (at: number) => Math.floor((at % (layout.pageStride * pages)) / layout.pageStride);

  test(`copied slots equal their source in every layer, part and head, and the other slots stay: ${name}`, () => {
    const data = Float32Array.from({ length: pages * layers * layerFloats }, (_, index) => index);
    new KvStore(data, shape, positions, layout).copy({ fromPage: 1, toPage: 4, slot: 1, slots: 2 });
    data.forEach((value, at) => {
      const slot = Math.floor((at % layerFloats) / shape.headDim) % positions;
      const copied = pageOf(at) === 4 && (slot === 1 || slot === 2);
      assert.equal(value, copied ? at - 3 * layout.pageStride : at);
    });
  });

  test(`a filled page leaves its neighbours alone: ${name}`, () => {
    const data = new Float32Array(pages * layers * layerFloats);
    new KvStore(data, shape, positions, layout).fill(3, 7);
    data.forEach((value, at) => {
      assert.equal(value, pageOf(at) === 3 ? 7 : 0);
    });
  });
}

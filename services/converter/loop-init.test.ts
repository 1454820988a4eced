import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Checkpoint } from './checkpoint.ts';
import { TiedCheckpoint } from './loop-init.ts';
import { type LoopOptions, planLoop } from './loop-plan.ts';

/** Seven layers whose tensors hold 10·layer, 10·layer + 1, … */
const source = {
  path: 'numbers',
  name: 'numbers',
  format: 'safetensors',
  licence: 'none',
  model: { architecture: 'llama', layers: 7 } as Checkpoint['model'],
  tokenizerFiles: new Map(),
  async read(name: string) {
    const layer = Number(/^layers\.(\d+)\./.exec(name)?.[1] ?? -1);
    return Float32Array.of(10 * layer, 10 * layer + 1);
  },
  async close() {},
} satisfies Checkpoint;

const tied = (options: LoopOptions) =>
  new TiedCheckpoint(source, planLoop(source.model, { loops: 2, keepFirst: 1, keepLast: 2, ...options }));
const read = async (checkpoint: Checkpoint, name: string) => [...(await checkpoint.read(name))];

test('layers outside the loop and what is no layer are the source’s own', async () => {
  const checkpoint = tied({ init: 'average' });
  assert.equal(checkpoint.model.layers, 5);
  assert.deepEqual(await read(checkpoint, 'layers.0.q'), [0, 1]);
  assert.deepEqual(await read(checkpoint, 'layers.3.q'), [50, 51]);
  assert.deepEqual(await read(checkpoint, 'layers.4.attentionNorm'), [60, 61]);
  assert.deepEqual(await read(checkpoint, 'embedding'), [-10, -9]);
});

test('average is the mean of the tied layers; norms are that, the first one’s, or 1', async () => {
  // Layers 1 and 2 of the model are 1 with 3 and 2 with 4 of the source.
  assert.deepEqual(await read(tied({ init: 'average' }), 'layers.1.q'), [20, 21]);
  assert.deepEqual(await read(tied({ init: 'average' }), 'layers.2.q.bias'), [30, 31]);
  for (const [initNorms, expected] of [
    ['average', [30, 31]],
    ['choice', [20, 21]],
    ['zero', [1, 1]],
  ] as const) {
    const checkpoint = tied({ init: 'average', initNorms });
    assert.deepEqual(await read(checkpoint, 'layers.2.ffnNorm'), expected);
    assert.deepEqual(await read(checkpoint, 'layers.2.kNorm'), expected);
    assert.deepEqual(await read(checkpoint, 'layers.2.down'), [30, 31]);
  }
});

test('stepwise and lower are layers of the source', async () => {
  assert.deepEqual(await read(tied({ init: 'stepwise' }), 'layers.2.q'), [40, 41]);
  assert.deepEqual(await read(tied({ init: 'lower' }), 'layers.2.q'), [20, 21]);
});

test('random follows from the seed, differs from place to place, and has plain norms', async () => {
  const draw = (initSeed: number, name: string) => read(tied({ init: 'random', initSeed }), name);
  const q = await draw(0, 'layers.1.q');
  assert.deepEqual(await draw(0, 'layers.1.q'), q);
  for (const other of [
    await draw(1, 'layers.1.q'),
    await draw(0, 'layers.2.q'),
    await draw(0, 'layers.1.k'),
  ]) {
    assert.notDeepEqual(other, q);
  }
  assert.ok(q.every((weight) => weight !== 0 && Math.abs(weight) < 0.2));
  assert.deepEqual(await draw(0, 'layers.1.ffnNorm'), [1, 1]);
  assert.deepEqual(await draw(0, 'layers.1.q.bias'), [0, 0]);
});

test('residual and shared weight add up to the layer that is stood for', async () => {
  const checkpoint = tied({ init: 'average' });
  assert.deepEqual([...(await checkpoint.residual(2, 0, 'q'))], [-10, -10]);
  assert.deepEqual([...(await checkpoint.residual(2, 1, 'q'))], [10, 10]);
});

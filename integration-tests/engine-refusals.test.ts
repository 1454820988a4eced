import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openBundle } from '@rondo/bundle';
import { createEngine } from '@rondo/engine';
import { TinyBundle } from './tiny-bundle.ts';

test('what the graph runtime refuses is ENGINE_FAILED with where it came from, and the engine goes on', async () => {
  await using files = await TinyBundle.make(2);
  const bundle = await openBundle(files.directory);
  const { hidden } = bundle.manifest.shape;
  const engine = await createEngine(bundle, { threads: 1, kvBytes: 2 ** 22, provider: 'cpu' });
  const run = (floats: number) =>
    engine.runStack({
      stack: 'block',
      input: new Float32Array(floats).fill(1),
      starts: new Int32Array(1),
      rowCounts: Int32Array.of(2),
      depths: new Int32Array(1),
      pageTable: Int32Array.of(1),
      copies: [],
    });
  /** The cause's stack names the thread's own file. */
  const refusal = (error: Error & { code?: string }): boolean => {
    assert.equal(error.code, 'ENGINE_FAILED', error.message);
    assert.match((error.cause as Error).stack!, /engine-thread\.ts/);
    return true;
  };
  try {
    await assert.rejects(run(2 * hidden - 1), refusal);
    await assert.rejects(engine.runHead({ state: new Float32Array(hidden + 1), wantLogits: false }), refusal);
    const state = new Float32Array(hidden + 1);
    const [positions, pages] = [Int32Array.of(0), Int32Array.of(1)];
    await assert.rejects(engine.propagate({ state, positions, pages }), refusal);
    assert.equal((await run(2 * hidden)).state.length, 2 * hidden);
  } finally {
    await engine.close();
  }
});

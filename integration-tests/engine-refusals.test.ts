import assert from 'node:assert/strict';
import { rm } from 'node:fs/promises';
import { test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { bundlePath, openBundle } from '@rondo/bundle';
import { createEngine } from '@rondo/engine';
import { TinyBundle } from './tiny-bundle.ts';

test('what the graph runtime refuses is ENGINE_FAILED, what we do wrong INTERNAL, both with where it began, and the engine goes on', async () => {
  await using files = await TinyBundle.make(2);
  const bundle = await openBundle(files.directory);
  const { hidden, vocab } = bundle.manifest.shape;
  const engine = await createEngine(bundle, { threads: 1, kvBytes: 2 ** 22, provider: 'cpu' });
  const run = (stack: 'prelude' | 'block', input: Int32Array | Float32Array) =>
    engine.runStack({
      stack,
      input,
      starts: new Int32Array(1),
      rowCounts: Int32Array.of(2),
      depths: new Int32Array(1),
      pageTable: Int32Array.of(1),
      copies: [],
    });
  /** The stack is that of what was thrown first, in the thread, and a log that puts messages behind each other has each once. */
  const refusal =
    (code: string) =>
    (error: Error & { code?: string }): boolean => {
      assert.equal(error.code, code, error.message);
      const { message, stack } = error.cause as Error;
      assert.notEqual(message, error.message);
      assert.ok(stack!.includes(`: ${error.message}\n`), stack);
      assert.match(stack!, /engine-thread\.ts/);
      assert.doesNotMatch(stack!, /RondoError/);
      return true;
    };
  const floats = (count: number) => new Float32Array(count).fill(1);
  try {
    await assert.rejects(run('prelude', Int32Array.of(0, vocab)), refusal('ENGINE_FAILED'));
    await assert.rejects(run('block', floats(2 * hidden - 1)), refusal('INTERNAL'));
    const head = engine.runHead({ state: floats(hidden + 1), wantLogits: false });
    await assert.rejects(head, refusal('INTERNAL'));
    const [positions, pages] = [Int32Array.of(0), Int32Array.of(1)];
    const propagated = engine.propagate({ state: floats(hidden + 1), positions, pages });
    await assert.rejects(propagated, refusal('INTERNAL'));
    assert.equal((await run('block', floats(2 * hidden))).state.length, 2 * hidden);
  } finally {
    await engine.close();
  }
});

test('an embedding that cannot be opened is named, and leaves no thread behind', async () => {
  await using files = await TinyBundle.make(2, undefined, 0.5, 'f32', { first: 0, last: 2 });
  const bundle = await openBundle(files.directory);
  const path = bundlePath(bundle, bundle.manifest.embedding!.file);
  await rm(path);
  let threads = 0;
  const count = () => threads++;
  process.on('worker', count);
  await assert.rejects(createEngine(bundle, { threads: 1, kvBytes: 2 ** 22, provider: 'cpu' }), {
    code: 'BUNDLE_INVALID',
    message: RegExp(`^${path}: cannot be opened: ENOENT`),
  });
  // Node tells of a thread in the tick behind its making.
  await setImmediate();
  process.off('worker', count);
  assert.equal(threads, 0);
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openBundle } from '@rondo/bundle';
import { EngineLoop, SerialModel } from '@rondo/lab';
import { TinyBundle } from './tiny-bundle.ts';

const GENERATED = 6;
/** Longer than one chunk, and not a whole number of pages. */
const PROMPTS = [0, 1, 2].map((sequence) =>
  Array.from({ length: 101 }, (_, at) => 1 + ((at * 7 + sequence * 13) % 90)),
);

test("the bench's loop chooses, batched and looped, the ids that the serial model chooses alone", async () => {
  await using files = await TinyBundle.make(3);
  const bundle = await openBundle(files.directory);
  const serial = await SerialModel.open(bundle, { threads: 1, positions: 128 });
  const expected: number[][] = [];
  try {
    for (const prompt of PROMPTS) {
      serial.reset();
      const ids = [lastChoice(await serial.forward(prompt), prompt.length)];
      for (let step = 0; step < GENERATED; step++)
        ids.push(lastChoice(await serial.forward(ids.slice(-1)), 1));
      expected.push(ids);
    }
  } finally {
    await serial.close();
  }
  const loop = await EngineLoop.open(bundle, { threads: 1, kvBytes: 64 * 2 ** 20 });
  try {
    // Twice: what the first run left in the pages must not show in the second.
    for (const prompts of [PROMPTS, PROMPTS.toReversed()]) {
      const { ids, prefillMs, decodeMs, decodeRunMs } = await loop.decode(prompts, GENERATED);
      assert.deepEqual(ids, prompts === PROMPTS ? expected : expected.toReversed());
      assert.ok(prefillMs > 0 && decodeRunMs > 0 && decodeRunMs < decodeMs);
    }
  } finally {
    await loop.close();
  }
});

/** The most likely id after the last of `rows` rows. */
function lastChoice(logits: Float32Array, rows: number): number {
  const last = logits.subarray(logits.length - logits.length / rows);
  return last.indexOf(Math.max(...last));
}

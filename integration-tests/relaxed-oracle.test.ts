import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { type Checkpoint, type ConvertOptions, convert, LOOP_INITS, openCheckpoint } from '@rondo/converter';
import { assertClose, logitsOf } from './logits.ts';
import { relaxedLogits, relaxedModel, writeRelaxedCheckpoint } from './relaxed-cases.ts';

/** Logits must agree within this, relative to the largest. */
const TOLERANCE = 1e-4;
/** More than any matrix of these models has. */
const FULL_RANK = 4096;

let directory: string;
before(async () => {
  directory = await mkdtemp(join(tmpdir(), 'rondo-relaxed-oracle-'));
});
after(() => rm(directory, { recursive: true, force: true }));

async function logitsWith(
  checkpoint: Checkpoint,
  options: Partial<ConvertOptions>,
  prompt: readonly number[],
): Promise<Float32Array> {
  const out = join(directory, 'bundle');
  await convert({ checkpoint, out, precision: 'f32', ...options });
  return logitsOf(out, prompt);
}

// By config only, beside small ones of six layers: TinyLlama's 22 layers of 32 heads over 4, Gemma 2B's 18 of 8 over 1.
for (const name of ['llama', 'qwen2', 'gemma', 'tinyllama', 'gemma-2b']) {
  describe(`${name} agrees with PyTorch's own layers`, () => {
    const model = relaxedModel(name);
    const expected = relaxedLogits(name);
    const prompt = [...expected.get('prompt')!];
    let checkpoint: Checkpoint;
    before(async () => {
      checkpoint = await openCheckpoint(await writeRelaxedCheckpoint(join(directory, name), model));
    });
    after(() => checkpoint.close());

    test('as it is', async () => {
      assertClose(await logitsWith(checkpoint, {}, prompt), expected.get('plain')!, name, TOLERANCE);
    });

    for (const { case: label, convert: loop } of model.cases) {
      test(label, async () => {
        const { rank, ...options } = loop;
        const lora = rank === undefined ? undefined : { rank, threads: 2 };
        const logits = await logitsWith(checkpoint, { ...options, lora }, prompt);
        assertClose(logits, expected.get(label)!, label, TOLERANCE);
      });
    }

    test('and is itself again at full rank, for every way to loop and to begin', async () => {
      const loops = [...new Set(model.cases.map(({ convert: { loops } }) => loops))];
      assert.ok(loops.includes(2));
      for (const loop of loops) {
        for (const init of LOOP_INITS) {
          const lora = { rank: FULL_RANK, threads: 2 };
          const logits = await logitsWith(checkpoint, { loops: loop, init, lora }, prompt);
          assertClose(logits, expected.get('plain')!, `--loops ${loop} --init ${init}`, TOLERANCE);
        }
      }
    });
  });
}

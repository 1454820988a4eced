import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { type Bundle, openBundle } from '@rondo/bundle';
import { convert, openCheckpoint } from '@rondo/converter';
import type { ExitRule } from '@rondo/core';
import { type Head, Sequences, SerialModel } from '@rondo/lab';
import { type KvPolicyCase, kvPolicyCases } from './kv-policy-cases.ts';
import { TinyBundle } from './tiny-bundle.ts';

/** Relative to the largest logit. */
const TOLERANCE = 1e-4;

let directory: string;
before(async () => {
  directory = await mkdtemp(join(tmpdir(), 'rondo-eval-'));
});
after(() => rm(directory, { recursive: true, force: true }));

function assertClose(found: Float32Array, expected: Float32Array, what: string): void {
  assert.equal(found.length, expected.length);
  const scale = expected.reduce((largest, logit) => Math.max(largest, Math.abs(logit)), 0);
  const worst = expected.reduce((largest, logit, id) => Math.max(largest, Math.abs(logit - found[id]!)), 0);
  assert.ok(worst <= TOLERANCE * scale, `${what}: off by ${worst} of ${scale}`);
}

async function bundleOf(item: KvPolicyCase): Promise<Bundle> {
  const out = join(directory, `${item.name}-${item.policy}`);
  const checkpoint = await openCheckpoint(item.checkpoint);
  await convert({ checkpoint, out, precision: 'f32', kvPolicy: item.policy, ...item.convert });
  await checkpoint.close();
  return openBundle(out);
}

const replay = (maxDepth: number, passes: number): ExitRule => ({
  policy: 'replay',
  threshold: 0,
  minDepth: 1,
  maxDepth,
  depths: [passes],
});

for (const item of kvPolicyCases()) {
  test(`${item.name}: rows decoded beside other sequences leave under ${item.policy} with PyTorch's logits`, async () => {
    const bundle = await bundleOf(item);
    const { maxDepth } = bundle.manifest;
    const model = await Sequences.open(bundle, { threads: 1, pages: 3 * Math.ceil(item.ids.length / 16) });
    try {
      const prompt = model.create();
      let last: Head | undefined;
      await model.append(
        [{ sequence: prompt, ids: item.ids.slice(0, item.promptRows), heads: 1 }],
        [maxDepth],
        (_, heads) => {
          last = heads[0];
        },
      );
      assertClose(last!.logits, item.logits[0]!, 'the last row of the prompt');
      // One follows the recorded exits, the other two share its prompt and leave elsewhere.
      const followers = [prompt, model.fork(prompt), model.fork(prompt)];
      for (const [at, passes] of item.exits.entries()) {
        const id = item.ids[item.promptRows + at]!;
        const rows = await model.decode([
          { sequence: followers[1]!, id: (id + 1) % 90, rule: replay(maxDepth, 1 + (at % maxDepth)) },
          { sequence: followers[0]!, id, rule: replay(maxDepth, passes) },
          { sequence: followers[2]!, id, rule: replay(maxDepth, maxDepth) },
        ]);
        assert.equal(rows[1]!.passes, passes);
        assertClose(rows[1]!.head.logits, item.logits[1 + at]!, `decoded row ${at}`);
      }
    } finally {
      await model.close();
    }
  });
}

test('after each pass the model reads as one that was converted with so many passes', async () => {
  const ids = Array.from({ length: 50 }, (_, at) => 1 + ((at * 7) % 90));
  await using looped = await TinyBundle.make(3);
  const model = await Sequences.open(await openBundle(looped.directory), {
    threads: 1,
    // Those of the coda, after each of three passes.
    pages: 3 * 4,
  });
  try {
    const sequence = model.create();
    const found = new Map<number, Head[]>();
    // In uneven parts: K and V of the coda must be those of the same depth.
    for (const [first, end] of [
      [0, 20],
      [20, 37],
      [37, 50],
    ] as const) {
      const part = ids.slice(first, end);
      await model.append([{ sequence, ids: part, heads: part.length }], [1, 2, 3], (passes, heads) => {
        found.set(passes, [...(found.get(passes) ?? []), ...heads]);
      });
    }
    for (const passes of [1, 2, 3]) {
      // Damped as the looped one is, whatever the passes.
      await using shallow = await TinyBundle.make(passes, undefined, 1 / 3);
      const serial = await SerialModel.open(await openBundle(shallow.directory), {
        threads: 1,
        positions: 64,
      });
      try {
        const expected = await serial.forward(ids);
        const vocab = expected.length / ids.length;
        found.get(passes)!.forEach(({ logits }, row) => {
          assertClose(
            logits,
            expected.subarray(row * vocab, (row + 1) * vocab),
            `${passes} passes, row ${row}`,
          );
        });
      } finally {
        await serial.close();
      }
    }
  } finally {
    await model.close();
  }
});

test('pages of sequences that were released serve others, as often as one likes', async () => {
  await using looped = await TinyBundle.make(2);
  const model = await Sequences.open(await openBundle(looped.directory), {
    threads: 1,
    // Two full ones and what they share.
    pages: 1 + 2 * 2,
  });
  const ids = Array.from({ length: 35 }, (_, at) => 1 + ((at * 11) % 90));
  try {
    const logits: Float32Array[] = [];
    for (let turn = 0; turn < 5; turn++) {
      const base = model.create();
      await model.append([{ sequence: base, ids: ids.slice(0, 20), heads: 0 }], [2], () => {});
      const copies = [model.fork(base), model.fork(base)];
      model.release(base);
      const appends = copies.map((sequence) => ({ sequence, ids: ids.slice(20), heads: 1 }));
      await model.append(appends, [2], (_, heads) => {
        logits.push(...heads.map((head) => head.logits.slice()));
      });
      for (const copy of copies) model.release(copy);
    }
    for (const other of logits) assert.deepEqual(other, logits[0]);
  } finally {
    await model.close();
  }
});

import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { type AdapterOptions, convert, openCheckpoint } from '@rondo/converter';
import { NestedFactors } from './nested-factors.ts';

const TINY = new URL('../../../integration-tests/fixtures/tiny/llama-gqa/checkpoint', import.meta.url)
  .pathname;

test('a rank of the nest makes the bundle that --lora-rank makes', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'rondo-nested-'));
  const checkpoint = await openCheckpoint(TINY);
  const loop = { loops: checkpoint.model.layers % 2 === 0 ? 2 : 3, init: 'average' } as const;
  const kept = join(directory, 'nest');
  const nest = new NestedFactors(checkpoint, loop, kept, 4096);
  const small = new NestedFactors(checkpoint, loop, kept, 3);
  try {
    const weights = async (name: string, factors: { adapters?: AdapterOptions; lora?: { rank: number } }) => {
      const out = join(directory, name);
      const { files, adapters } = await convert({ checkpoint, out, precision: 'f32', ...loop, ...factors });
      return { rank: adapters?.rank, sha256: files.find(({ path }) => path === 'weights.bin')?.sha256 };
    };
    const seen = new Set<string | undefined>();
    // The first is decomposed, the others are read.
    for (const rank of [3, 1, 4096]) {
      const own = await weights(`own-${rank}`, { lora: { rank } });
      assert.deepEqual(await weights(`nested-${rank}`, { adapters: nest.atRank(rank, () => {}) }), own);
      if (rank <= 3) {
        assert.deepEqual(await weights(`small-${rank}`, { adapters: small.atRank(rank, () => {}) }), own);
      }
      seen.add(own.sha256);
    }
    assert.equal(seen.size, 3);
  } finally {
    await nest.close();
    await small.close();
    await checkpoint.close();
    await rm(directory, { recursive: true, force: true });
  }
});

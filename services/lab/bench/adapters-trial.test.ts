import assert from 'node:assert/strict';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { prepareWeights } from '@rondo/converter';
import { CONTEXT } from './adapters-batch.ts';
import { RandomCheckpoint, rankShare, SMOLLM2, TINYLLAMA } from './adapters-checkpoint.ts';
import { METHODS, runTrial } from './adapters-trial.ts';
import type { SuiteContext } from './suite.ts';

const SMALL = { name: 'small', hidden: 16, heads: 2, kvHeads: 1, headDim: 8, ffn: 24 };

test('a trial measures every method at every number of rows and leaves no files', async () => {
  const cache = await mkdtemp(join(tmpdir(), 'rondo-trial-'));
  try {
    const checkpoint = new RandomCheckpoint(SMALL, CONTEXT, 1);
    const prepared = await prepareWeights(checkpoint, 'int8', cache);
    const context = { cache, threads: 1, signal: new AbortController().signal } as SuiteContext;
    const trial = {
      checkpoint,
      precision: 'int8',
      prepared,
      rank: 4,
      rowCounts: [2, 3],
      repeats: 1,
    } as const;
    const findings = await runTrial(context, trial);
    assert.deepEqual(
      findings.map(({ rows, method }) => [rows, method]),
      [2, 3].flatMap((rows) => METHODS.map((method) => [rows, method])),
    );
    for (const { loss, rowsPerSecond, plainRowsPerSecond } of findings) {
      assert.ok(Math.abs(loss - 100 * (1 - rowsPerSecond / plainRowsPerSecond)) < 1e-6);
    }
    assert.deepEqual(await readdir(join(cache, 'bench')), []);
    const stopped = { ...context, signal: AbortSignal.abort() };
    await assert.rejects(runTrial(stopped, trial), { name: 'AbortError' });
    assert.deepEqual(await readdir(join(cache, 'bench')), []);
  } finally {
    await rm(cache, { recursive: true });
  }
});

test('the share of multiplications that a rank adds is Σ r·(in + out) / Σ in·out, with r capped', () => {
  const share = (shape: typeof SMALL, rank: number) =>
    rankShare(new RandomCheckpoint(shape, CONTEXT, 1).model, rank);
  const tinyllama = 64 * (2 * 4096 + 2 * 2304 + 3 * 7680);
  assert.equal(share(TINYLLAMA, 64), tinyllama / (2048 * (4096 + 512 + 3 * 5632)));
  // Keys and values of SmolLM2 have 192 outputs.
  const smollm2 = 256 * (2 * 1152 + 3 * 2112) + 192 * 2 * 768;
  assert.equal(share(SMOLLM2, 256), smollm2 / (576 * (1152 + 384 + 3 * 1536)));
});

import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { Bundle, Manifest } from '@rondo/bundle';
import type { SamplingParams } from '@rondo/core';
import { HostKernel } from './host-kernel.ts';
import { sample } from './sampler.ts';

const [HIDDEN, VOCAB, CANDIDATES] = [32, 64, 8];
const FILE = 'head.bin';

const weights = (): Uint8Array => {
  const norm = new Float32Array(HIDDEN).fill(1);
  const scales = new Float32Array(VOCAB).fill(0.01);
  const data = Int8Array.from({ length: HIDDEN * VOCAB }, (_, at) => ((at * 37) % 127) - 63);
  return Buffer.concat([norm, scales, data].map(({ buffer }) => new Uint8Array(buffer)));
};

/** Whether the final norm is the head's, or was behind the last pass already. */
const manifestOf = (normed: boolean): Manifest =>
  ({
    precision: 'int8',
    shape: { hidden: HIDDEN, heads: 4, kvHeads: 2, headDim: 8, vocab: VOCAB, context: 80 },
    layers: { prelude: 0, block: 1, coda: 0 },
    maxDepth: 2,
    pagePositions: 16,
    headCandidates: CANDIDATES,
    rope: { inverseFrequencies: [1, 0.5, 0.25, 0.1], attentionFactor: 1 },
    headWeights: {
      ...{ file: FILE, normEpsilon: 1e-5, scales: HIDDEN * 4, data: (HIDDEN + VOCAB) * 4 },
      ...(normed && { finalNorm: 0 }),
    },
  }) as unknown as Manifest;

const GREEDY: SamplingParams = {
  ...{ temperature: 0, topP: 1, topK: 0, minP: 0, seed: 1 },
  ...{ presencePenalty: 0, frequencyPenalty: 0, repetitionPenalty: 1, logitBias: new Map() },
};

test('no token is chosen of a state that is no number, and of those beside it the same as without it', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'rondo-head-'));
  await writeFile(join(directory, FILE), weights());
  try {
    for (const normed of [true, false]) {
      const manifest = manifestOf(normed);
      const kernel = new HostKernel(manifest, { threads: 1, pools: { prelude: 1, block: 5, coda: 1 } });
      try {
        kernel.load({ directory, manifest } as Bundle);
        const run = (state: Float32Array) => {
          const { topLogits, topIds, logSumExp } = kernel.head!.run({ state, wantLogits: false });
          return (row: number) => {
            const part = <Values extends Float32Array | Int32Array>(values: Values) =>
              values.slice(row * CANDIDATES, (row + 1) * CANDIDATES) as Values;
            const head = { topLogits: part(topLogits), topIds: part(topIds), logSumExp: logSumExp[row]! };
            return sample(head, GREEDY, { prompt: [], output: [] }, 0);
          };
        };
        const states = Float32Array.from({ length: 3 * HIDDEN }, (_, at) => Math.sin(at * at));
        const expected = run(states);
        for (const value of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]) {
          for (const [first, end] of [
            [HIDDEN, 2 * HIDDEN],
            [HIDDEN, HIDDEN + 1],
            [2 * HIDDEN - 1, 2 * HIDDEN],
          ] as const) {
            const tokenOf = run(states.slice().fill(value, first, end));
            assert.throws(() => tokenOf(1), { code: 'ENGINE_FAILED', message: /log-sum-exp/ });
            for (const row of [0, 2]) assert.deepEqual(tokenOf(row), expected(row));
          }
        }
      } finally {
        await kernel.close();
      }
    }
  } finally {
    await rm(directory, { recursive: true });
  }
});

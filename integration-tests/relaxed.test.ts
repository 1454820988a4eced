import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import {
  type AdapterOptions,
  type Checkpoint,
  convert,
  type Factors,
  LOOP_INITS,
  type LoopOptions,
  openCheckpoint,
  planLoop,
  TiedCheckpoint,
  targetShape,
} from '@rondo/converter';
import { ALL_TARGETS } from './adapted-checkpoint.ts';
import { assertClose, distance, logitsOf } from './logits.ts';

/** Logits must agree within this, relative to the largest. */
const TOLERANCE = 1e-4;
const IDS = Array.from({ length: 21 }, (_, at) => (at * 37 + 5) % 97);
const FIXTURES = ['llama-gqa', 'qwen2-bias', 'qwen3-head-norms', 'gemma'];

let directory: string;
before(async () => {
  directory = await mkdtemp(join(tmpdir(), 'rondo-relaxed-'));
});
after(() => rm(directory, { recursive: true, force: true }));

async function withCheckpoint<T>(fixture: string, use: (checkpoint: Checkpoint) => Promise<T>): Promise<T> {
  const path = new URL(`./fixtures/tiny/${fixture}/checkpoint`, import.meta.url).pathname;
  const checkpoint = await openCheckpoint(path);
  try {
    return await use(checkpoint);
  } finally {
    await checkpoint.close();
  }
}

/** Twice the layers of a block, or three times where there are three. */
const loopOf = ({ model }: Checkpoint): LoopOptions => ({ loops: model.layers % 2 === 0 ? 2 : 3 });

async function bundleOf(checkpoint: Checkpoint, name: string, options: object = {}): Promise<string> {
  const out = join(directory, name);
  await convert({ checkpoint, out, precision: 'f32', ...options });
  return out;
}

const identity = (size: number): Float32Array =>
  Float32Array.from({ length: size * size }, (_, at) => (at % (size + 1) === 0 ? 1 : 0));

/** Factors that are the residuals themselves: I·R or R·I. */
async function wholeResiduals(checkpoint: Checkpoint, loop: LoopOptions): Promise<AdapterOptions> {
  const plan = planLoop(checkpoint.model, loop);
  const tied = new TiedCheckpoint(checkpoint, plan);
  const known = new Map<string, Factors>();
  for (const layer of plan.block) {
    for (let depth = 0; depth < plan.maxDepth; depth++) {
      for (const target of ALL_TARGETS) {
        const residual = await tied.residual(layer, depth, target);
        const [out, columns] = targetShape(checkpoint.model, target);
        const factors =
          out <= columns ? { a: residual, b: identity(out) } : { a: identity(columns), b: residual };
        known.set(`${layer} ${depth} ${target}`, factors);
      }
    }
  }
  const factorsOf = (layer: number, depth: number, target: string) =>
    known.get(`${layer} ${depth} ${target}`)!;
  return { targets: ALL_TARGETS, factorsOf };
}

describe('with factors of full rank a tied model is the original again, whatever its shared layers are', () => {
  for (const fixture of FIXTURES) {
    for (const init of LOOP_INITS) {
      test(`${fixture}, ${init}`, () =>
        withCheckpoint(fixture, async (checkpoint) => {
          const expected = await logitsOf(await bundleOf(checkpoint, `${fixture}-plain`), IDS);
          const loop = { ...loopOf(checkpoint), init };
          const adapters = await wholeResiduals(checkpoint, loop);
          const relaxed = await bundleOf(checkpoint, `${fixture}-${init}`, { ...loop, adapters });
          assertClose(await logitsOf(relaxed, IDS), expected, init, TOLERANCE);
        }));
    }
  }
});

test('shared norms break that, and norms per depth need no factors', () =>
  withCheckpoint('qwen3-head-norms', async (checkpoint) => {
    const expected = await logitsOf(await bundleOf(checkpoint, 'plain'), IDS);
    const loop = { ...loopOf(checkpoint), init: 'average' } as const;
    const adapters = await wholeResiduals(checkpoint, loop);
    const off = async (name: string, options: object) =>
      distance(await logitsOf(await bundleOf(checkpoint, name, { ...loop, ...options }), IDS), expected);
    assert.ok((await off('shared', { adapters, norms: 'shared' })) > 100 * TOLERANCE);
    const [shared, perDepth] = [await off('tied', {}), await off('tied-norms', { norms: 'per-depth' })];
    assert.ok(perDepth > 100 * TOLERANCE && perDepth !== shared, `${perDepth} beside ${shared}`);
  }));

test('norms per depth are refused where no depth has a layer of its own, and with kvPolicy propagate', () =>
  withCheckpoint('llama-gqa', async (checkpoint) => {
    const refused = (options: object, message: RegExp) =>
      assert.rejects(bundleOf(checkpoint, 'refused', options), { code: 'CONFIG_INVALID', message });
    await refused({ norms: 'per-depth' }, /--norms per-depth: only with --init/);
    const tied = { init: 'average', loops: 2, norms: 'per-depth' };
    await refused({ ...tied, kvPolicy: 'propagate' }, /kvPolicy propagate: not with norms per depth/);
  }));

import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { type Bundle, openBundle } from '@rondo/bundle';
import { type AdapterMethod, type AdapterTarget, convert } from '@rondo/converter';
import { createEngine } from '@rondo/engine';
import { ALL_TARGETS, type Rank, TinyFactors } from './adapted-checkpoint.ts';
import { blockPass, stateOf } from './block-pass.ts';
import { logitsOf } from './logits.ts';
import { randomCheckpoint } from './random-checkpoint.ts';
import { withoutKernel } from './without-kernel.ts';

const IDS = Array.from({ length: 24 }, (_, at) => (at * 7 + 3) % 100);
const RANK = 20;

interface Adapted {
  readonly precision: 'int4' | 'int8';
  readonly method?: AdapterMethod;
  readonly rank?: Rank;
  readonly targets?: readonly AdapterTarget[];
}

let directory: string;
before(async () => {
  directory = await mkdtemp(join(tmpdir(), 'rondo-kernel-factors-'));
});
after(() => rm(directory, { recursive: true, force: true }));

/** Two tied layers, run twice, with norms and factors of each depth. */
async function bundleOf({
  precision,
  method = 'integer',
  rank = RANK,
  targets = ALL_TARGETS,
}: Adapted): Promise<Bundle> {
  const checkpoint = await randomCheckpoint();
  const out = join(directory, `${precision}-${method}-${rank}-${targets.join('')}`);
  const { factorsOf } = new TinyFactors(checkpoint.model, rank);
  const tied = { init: 'average', loops: 2, keepFirst: 1, keepLast: 1 } as const;
  await convert({ checkpoint, out, precision, ...tied, adapters: { targets, method, factorsOf } });
  await checkpoint.close();
  return openBundle(out);
}

/** Root of the mean square of what logits are away from others. */
const distance = (logits: Float32Array, others: Float32Array): number =>
  Math.sqrt(logits.reduce((sum, logit, at) => sum + (logit - others[at]!) ** 2, 0) / logits.length);

for (const precision of ['int8', 'int4'] as const) {
  for (const [what, more] of [
    ['of all linears', {}],
    ['of some', { targets: ['up', 'v', 'q'] }],
    ['of uneven ranks', { rank: 'uneven' }],
    ['of q, k and v alone', { targets: ['q', 'k', 'v'] }],
  ] as const) {
    test(`factors ${what} over ${precision} are in the kernel no further from f32 factors than in the graph runtime`, async () => {
      const bundle = await bundleOf({ precision, ...more });
      const inKernel = await logitsOf(bundle, IDS);
      const inGraphs = await logitsOf(withoutKernel(bundle, 'layerWeights'), IDS);
      const exact = await logitsOf(await bundleOf({ precision, method: 'masked', ...more }), IDS);
      const [own, graphs] = [distance(inKernel, exact), distance(inGraphs, exact)];
      assert.notDeepEqual(inKernel, inGraphs, 'not a bit differs: the kernel did not run');
      // Rows between A and B, and those of the base behind them, are rounded anew: two draws of about the same error.
      assert.ok(own <= Math.SQRT2 * graphs, `${own}, in the graph runtime ${graphs}`);
      const plain = await logitsOf(withoutFactors(bundle), IDS);
      assert.ok(distance(plain, exact) > 3 * own, 'and factors change more than that');
    });
  }

  test(`rows of mixed depths through factors over ${precision} are each the same as alone, to the last bit`, async () => {
    for (const bundle of [await bundleOf({ precision }), await bundleOf({ precision, rank: 'uneven' })]) {
      const engine = await createEngine(bundle, { threads: 2, kvBytes: 4 << 20, provider: 'cpu' });
      try {
        for (const [shallow, deep] of [
          [1, 1],
          [3, 2],
          [4, 0],
          [0, 3],
          [7, 12],
          [9, 9],
          [13, 3],
        ] as const) {
          const depths = [...Array(shallow).fill(0), ...Array(deep).fill(1)] as number[];
          const states = depths.map((_, row) => stateOf(bundle, row));
          const together = await blockPass(engine, states, depths);
          const alone: number[] = [];
          for (const [row, depth] of depths.entries())
            alone.push(...(await blockPass(engine, [states[row]!], [depth])));
          assert.deepEqual([...together], alone, `${shallow} shallow rows, ${deep} deep ones`);
        }
      } finally {
        await engine.close();
      }
    }
  });
}

test('factors in floats are the graph runtime\u2019s', async () => {
  for (const method of ['grouped', 'masked', 'gathered'] as const)
    assert.equal((await bundleOf({ precision: 'int8', method })).manifest.layerWeights, undefined, method);
});

test('factors whose outputs share a group with a part that has none are the graph runtime\u2019s', async () => {
  const checkpoint = await randomCheckpoint({ heads: 8, kvHeads: 1, headDim: 12 });
  const out = join(directory, 'broken-groups');
  const { factorsOf } = new TinyFactors(checkpoint.model, RANK);
  const adapters = { targets: ['q', 'k'], method: 'integer', factorsOf } as const;
  await convert({ checkpoint, out, precision: 'int8', init: 'average', loops: 2, adapters });
  await checkpoint.close();
  assert.equal((await openBundle(out)).manifest.layerWeights, undefined);
});

/** The bundle with the kernel told of no factors. */
function withoutFactors(bundle: Bundle): Bundle {
  const layerWeights = bundle.manifest.layerWeights!;
  const block = layerWeights.block.map(({ factors, ...layer }) => {
    assert.ok(factors);
    return layer;
  });
  return { ...bundle, manifest: { ...bundle.manifest, layerWeights: { ...layerWeights, block } } };
}

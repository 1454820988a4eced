import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { type Bundle, digestFile, openBundle } from '@rondo/bundle';
import {
  type AdapterMatrix,
  type AdapterMethod,
  type AdapterTarget,
  convert,
  type Factors,
  openCheckpoint,
  prepareWeights,
} from '@rondo/converter';
import { createEngine } from '@rondo/engine';
import { ALL_TARGETS, MergedCheckpoint, type Rank, TinyFactors } from './adapted-checkpoint.ts';
import { blockPass, stateOf } from './block-pass.ts';
import { assertClose, logitsOf } from './logits.ts';

/** Logits must agree within this, relative to the largest. */
const TOLERANCE = 1e-4;
const RANK = 4;
const METHODS: readonly AdapterMethod[] = ['grouped', 'masked', 'gathered'];
const LOOP = { loopLayers: { first: 1, last: 2 }, loops: 3 } as const;
const checkpointOf = (fixture: string) =>
  openCheckpoint(new URL(`./fixtures/tiny/${fixture}/checkpoint`, import.meta.url).pathname);

let directory: string;
before(async () => {
  directory = await mkdtemp(join(tmpdir(), 'rondo-adapters-'));
});
after(() => rm(directory, { recursive: true, force: true }));

interface Adapted {
  readonly precision?: 'f32' | 'int8' | 'int4';
  readonly factors?: 'random' | 'falling';
  readonly method: AdapterMethod;
  readonly rank: Rank;
  readonly targets?: readonly AdapterTarget[];
}

async function adaptedBundle(
  fixture: string,
  { precision = 'f32', factors = 'random', method, rank, targets = ALL_TARGETS }: Adapted,
): Promise<Bundle> {
  const out = join(directory, `${fixture}-${precision}-${factors}-${method}-${rank}-${targets.join('')}`);
  const checkpoint = await checkpointOf(fixture);
  const random = new TinyFactors(checkpoint.model, rank).factorsOf;
  const factorsOf: typeof random = (layer, depth, target) =>
    factors === 'random' ? random(layer, depth, target) : falling(random(layer, depth, target), depth);
  await convert({
    checkpoint,
    out,
    precision,
    ...LOOP,
    adapters: { targets, method, factorsOf },
  });
  await checkpoint.close();
  return openBundle(out);
}

/** The same without loop and adapters: a layer W + B_d·A_d for every layer and depth of the loop. */
async function mergedBundle(fixture: string, rank: Rank, targets = ALL_TARGETS): Promise<Bundle> {
  const out = join(directory, `${fixture}-merged-${rank}-${targets.join('')}`);
  const checkpoint = await checkpointOf(fixture);
  const factors = new TinyFactors(checkpoint.model, rank);
  await convert({
    checkpoint: new MergedCheckpoint(checkpoint, LOOP, factors, targets),
    out,
    precision: 'f32',
  });
  await checkpoint.close();
  return openBundle(out);
}

/** As a singular value decomposition leaves them: each rank weighs half of the one before, and depths differ in size. */
function falling({ a, b }: Factors, depth: number): Factors {
  const rank = Math.min(a.length, b.length, RANK);
  return { a, b: b.map((value, at) => value * 3 * 2 ** -(at % rank) * 4 ** -depth) };
}

const IDS = Array.from({ length: 21 }, (_, at) => (at * 37 + 5) % 100);

const FIXTURES = ['llama-gqa', 'qwen2-bias', 'qwen3-head-norms', 'gemma'];

describe('a looped block with adapters equals an unlooped model whose layers are W + B·A of each depth', () => {
  for (const fixture of FIXTURES) {
    for (const method of METHODS) {
      test(`${fixture}, ${method}`, async () => {
        const expected = await logitsOf(await mergedBundle(fixture, 4), IDS);
        assertClose(
          await logitsOf(await adaptedBundle(fixture, { method, rank: 4 }), IDS),
          expected,
          fixture,
          TOLERANCE,
        );
      });
    }
  }

  for (const method of METHODS) {
    test(`${method}, when only some linears of a packed matrix are adapted`, async () => {
      const targets = ['up', 'v', 'q'] as const;
      const expected = await logitsOf(await mergedBundle('llama-gqa', 4, targets), IDS);
      const bundle = await adaptedBundle('llama-gqa', { method, rank: 4, targets });
      assertClose(await logitsOf(bundle, IDS), expected, 'logits', TOLERANCE);
    });

    test(`${method}, with a rank above the smaller side of k and v`, async () => {
      const expected = await logitsOf(await mergedBundle('llama-gqa', 40), IDS);
      assertClose(
        await logitsOf(await adaptedBundle('llama-gqa', { method, rank: 40 }), IDS),
        expected,
        'logits',
        TOLERANCE,
      );
    });
  }

  for (const method of METHODS) {
    test(`${method}, when every matrix has a rank of its own, at every depth`, async () => {
      const expected = await logitsOf(await mergedBundle('llama-gqa', 'uneven'), IDS);
      const bundle = await adaptedBundle('llama-gqa', { method, rank: 'uneven' });
      assertClose(await logitsOf(bundle, IDS), expected, 'logits', TOLERANCE);
      assert.equal(bundle.manifest.adapters?.rank, 7);
    });
  }

  test('and these adapters are not small', async () => {
    const checkpoint = await checkpointOf('llama-gqa');
    const out = join(directory, 'plain');
    await convert({ checkpoint, out, precision: 'f32', ...LOOP });
    await checkpoint.close();
    const plain = await logitsOf(await openBundle(out), IDS);
    const adapted = await logitsOf(await mergedBundle('llama-gqa', 4), IDS);
    const change = Math.max(...plain.map((value, at) => Math.abs(value - adapted[at]!)));
    assert.ok(change > 0.1 * Math.max(...plain.map(Math.abs)), `logits change by ${change}`);
  });
});

/**
 * What factors rounded to seven bits may change of the logits, relative to the largest: at most 0.047 and 0.075 was found with these
 * models and factors, whose adapters change logits more than trained ones would.
 */
const ROUNDED_TOLERANCE = { int8: 0.06, int4: 0.09 } as const;

for (const precision of ['int8', 'int4'] as const) {
  describe(`integer factors stay near f32 factors over the same ${precision} base`, () => {
    const over = (fixture: string, adapted: Adapted) =>
      adaptedBundle(fixture, { precision, ...adapted }).then((bundle) => logitsOf(bundle, IDS));
    const apart = (some: Float32Array, others: Float32Array) =>
      Math.hypot(...some.map((value, at) => value - others[at]!));

    for (const fixture of FIXTURES) {
      for (const factors of ['random', 'falling'] as const) {
        test(`${fixture}, ${factors}: their rounding changes less than the base's`, async () => {
          const exact = await over(fixture, { factors, method: 'masked', rank: RANK });
          const rounded = await over(fixture, { factors, method: 'integer', rank: RANK });
          assertClose(rounded, exact, fixture, ROUNDED_TOLERANCE[precision]);
          const base = await adaptedBundle(fixture, { factors, method: 'masked', rank: RANK });
          const [own, bases] = [apart(rounded, exact), apart(await logitsOf(base, IDS), exact)];
          assert.ok(own > 0 && own < bases, `${own} beside ${bases}`);
        });
      }
    }

    test('also when only some linears are adapted, above the smaller side of k and v, and with uneven ranks', async () => {
      for (const change of [
        { rank: RANK, targets: ['up', 'v', 'q'] as const },
        { rank: 40 },
        { rank: 'uneven' as const },
      ]) {
        const exact = await over('llama-gqa', { ...change, method: 'masked' });
        const rounded = await over('llama-gqa', { ...change, method: 'integer' });
        assertClose(rounded, exact, 'logits', ROUNDED_TOLERANCE[precision]);
      }
    });
  });
}

describe('a batch of mixed depths equals each of its rows alone', () => {
  /** Rows at each depth. */
  const MIXES = [
    [1, 1, 1],
    [3, 0, 2],
    [0, 0, 4],
    [0, 5, 0],
    [2, 7, 1],
    [6, 0, 0],
  ];
  for (const method of [...METHODS, 'integer'] as const) {
    test(method, async () => {
      const precision = method === 'integer' ? 'int8' : 'f32';
      const bundle = await adaptedBundle('llama-gqa', { precision, method, rank: 'uneven' });
      const engine = await createEngine(bundle, { threads: 2, kvBytes: 4 << 20, provider: 'cpu' });
      try {
        for (const [run, mix] of MIXES.entries()) {
          const depths = mix.flatMap((rows, depth) => Array<number>(rows).fill(depth));
          const states = depths.map((_, row) => stateOf(bundle, 100 * run + row));
          const together = await blockPass(engine, states, depths);
          const alone: number[] = [];
          for (const [row, depth] of depths.entries()) {
            alone.push(...(await blockPass(engine, [states[row]!], [depth])));
          }
          assertClose(together, Float32Array.from(alone), `rows at each depth: ${mix}`, TOLERANCE);
        }
      } finally {
        await engine.close();
      }
    });
  }
});

test('convert tells what it wrote of them: ranks, shares, parameters, bytes and progress', async () => {
  const checkpoint = await checkpointOf('llama-gqa');
  const { factorsOf } = new TinyFactors(checkpoint.model, 'uneven');
  for (const [precision, perRank] of [
    ['f32', (sides: number) => 4 * sides],
    ['int8', (sides: number) => sides + 4],
  ] as const) {
    let told: readonly AdapterMatrix[] = [];
    const done: [number, number][] = [];
    await convert({
      checkpoint,
      out: join(directory, `told-${precision}`),
      precision,
      ...LOOP,
      adapters: {
        targets: ['q', 'down'],
        factorsOf: (layer, depth, target) => ({ ...factorsOf(layer, depth, target), share: depth / 4 }),
        onProgress: (...progress) => done.push(progress),
      },
      onAdapters: (matrices) => {
        told = matrices;
      },
    });
    assert.equal(told.length, 2 * 3 * 2);
    for (const { layer, depth, target, rank, share, parameters, bytes } of told) {
      const { a, b } = factorsOf(layer, depth, target);
      const sides = (a.length + b.length) / rank;
      assert.deepEqual(
        { share, parameters, bytes },
        { share: depth / 4, parameters: rank * sides, bytes: rank * perRank(sides) },
      );
    }
    assert.deepEqual(
      done,
      [3, 6, 9, 12].map((at) => [at, 12]),
    );
  }
  await checkpoint.close();
});

test('adapters are appended to a copy of prepared weights, which other bundles share', async () => {
  const shared = join(directory, 'shared');
  await mkdir(shared);
  const checkpoint = await checkpointOf('llama-gqa');
  const prepared = await prepareWeights(checkpoint, 'f32', shared);
  const before = await digestFile(prepared.path);
  const out = join(directory, 'from-prepared');
  const { factorsOf } = new TinyFactors(checkpoint.model, 4);
  const adapters = { targets: ALL_TARGETS, method: 'grouped', factorsOf } as const;
  const manifest = await convert({ checkpoint, out, precision: 'f32', prepared, ...LOOP, adapters });
  await checkpoint.close();
  assert.deepEqual(manifest.adapters, { rank: 4, targets: ALL_TARGETS, method: 'grouped' });
  assert.equal(await digestFile(prepared.path), before);
  const whole = await adaptedBundle('llama-gqa', { method: 'grouped', rank: 4 });
  assertClose(await logitsOf(await openBundle(out), IDS), await logitsOf(whole, IDS), 'logits', TOLERANCE);
});

describe('the graph of the whole block adapts each row as its segments do', () => {
  for (const method of METHODS) {
    test(`${method}, chunks of unequal lengths at both depths`, async () => {
      const bundle = await adaptedBundle('llama-gqa', { method, rank: 4 });
      const { hidden } = bundle.manifest.shape;
      const statesOf = async (attention: 'graph' | 'pages') => {
        const engine = await createEngine(bundle, {
          threads: 1,
          kvBytes: 1 << 20,
          provider: 'cpu',
          attention,
        });
        try {
          const { state } = await engine.runStack({
            stack: 'block',
            input: Float32Array.from({ length: 20 * hidden }, (_, at) => Math.sin(at * 1.7)),
            starts: new Int32Array(3),
            rowCounts: Int32Array.of(12, 7, 1),
            depths: Int32Array.of(0, 1, 2),
            pageTable: Int32Array.of(1, 2, 3),
            copies: [],
          });
          return state;
        } finally {
          await engine.close();
        }
      };
      const [whole, segments] = [await statesOf('graph'), await statesOf('pages')];
      assertClose(whole, segments, 'states', TOLERANCE);
    });
  }
});

describe('what cannot run with adapters is refused', () => {
  test("attention 'graph' of a bundle of older versions", async () => {
    const bundle = await adaptedBundle('llama-gqa', { method: 'grouped', rank: 2 });
    const { block, ...graphs } = bundle.manifest.graphs;
    assert.equal(block, 'block.onnx');
    const older = { ...bundle, manifest: { ...bundle.manifest, graphs } };
    const options = { threads: 1, kvBytes: 1 << 20, provider: 'cpu', attention: 'graph' } as const;
    // An engine that starts all the same must end, or the failure would hang.
    const start = async () => (await createEngine(older, options)).close();
    await assert.rejects(start, {
      code: 'CONFIG_INVALID',
      message: /attention 'graph'.*without a graph of the whole block.*convert it again/,
    });
  });

  test('kvPolicy propagate, no targets, and factors of another size', async () => {
    const checkpoint = await checkpointOf('llama-gqa');
    const { factorsOf } = new TinyFactors(checkpoint.model, 2);
    const good = { targets: ALL_TARGETS, factorsOf };
    const refused = (message: RegExp, adapters: object, more: object = {}) => {
      const options = { checkpoint, out: join(directory, 'refused'), precision: 'f32', ...LOOP } as const;
      return assert.rejects(convert({ ...options, adapters: { ...good, ...adapters }, ...more }), {
        code: 'CONFIG_INVALID',
        message,
      });
    };
    await refused(/kvPolicy propagate.*adapters.*last-exited/, {}, { kvPolicy: 'propagate' });
    await refused(/adapters\.targets is empty/, { targets: [] });
    const sized = (a: number, b: number) => ({
      targets: ['k'] as const,
      factorsOf: () => ({ a: new Float32Array(a), b: new Float32Array(b) }),
    });
    await refused(/A of layer 1 k at depth 0: expected \[r,48\].* found 100 values/, sized(100, 16));
    await refused(/A of layer 1 k at depth 0: .*r from 1 to 16, found 0 values/, sized(0, 0));
    // Keys have 16 outputs: a higher rank than that would only be stored and multiplied in vain.
    await refused(/A of layer 1 k at depth 0: .*r from 1 to 16, found 1920 values/, sized(40 * 48, 16 * 40));
    await refused(/B of layer 1 k at depth 0: expected \[16,2\] .* found 33 values/, sized(2 * 48, 33));
    await checkpoint.close();
  });
});

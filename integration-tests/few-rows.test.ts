import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { type Bundle, openBundle } from '@rondo/bundle';
import {
  type Checkpoint,
  type ConvertOptions,
  convert,
  exportBundle,
  openCheckpoint,
} from '@rondo/converter';
import { LIMITS } from '@rondo/core';
import { createEngine, thisProcessor } from '@rondo/engine';
import { SerialModel } from '@rondo/lab';
import { randomCheckpoint } from './random-checkpoint.ts';
import { withoutKernel } from './without-kernel.ts';

const ROWS = 24;
/** Rows of a short sequence, one of several. */
const SHORT = ROWS / 4;
/** Of the largest logit: floats summed in another order, which is a last place for each of the 16 sublayers of a row. */
const SAME = 16 * 2 ** -23;

let directory: string;
before(async () => {
  directory = await mkdtemp(join(tmpdir(), 'rondo-few-rows-'));
});
after(() => rm(directory, { recursive: true, force: true }));

/** The random checkpoint with some layers looped. */
async function bundleOf(
  name: string,
  precision: ConvertOptions['precision'] = 'int4',
  model: Partial<Checkpoint['model']> = {},
): Promise<Bundle> {
  const checkpoint = await randomCheckpoint(model);
  const out = join(directory, name);
  const loopLayers = { first: 2, last: 4 };
  await convert({ checkpoint, out, precision, loopLayers, loops: 2, damping: 0.5 });
  await checkpoint.close();
  return openBundle(out);
}

/** Logits of ROWS ids in chunks of at most `rows`, in sequences of `length`. */
async function logitsOf(bundle: Bundle, threads: number, rows: number, length = ROWS): Promise<Float32Array> {
  const ids = Array.from({ length: ROWS }, (_, at) => (at * 7 + 3) % bundle.manifest.shape.vocab);
  const model = await SerialModel.open(bundle, { threads, positions: 32 });
  const parts: number[] = [];
  try {
    for (let start = 0; start < ROWS; start += length) {
      const end = Math.min(start + length, ROWS);
      model.reset();
      for (let first = start; first < end; first += rows) {
        const logits = await model.forward(ids.slice(first, Math.min(first + rows, end)));
        for (const logit of logits) parts.push(logit);
      }
    }
  } finally {
    await model.close();
  }
  return Float32Array.from(parts);
}

const largest = (values: Float32Array): number =>
  values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);

/** The same weights as f32, whose rows are not rounded. */
async function unrounded(bundle: Bundle): Promise<Bundle> {
  const [exported, out] = [`${bundle.directory}-exported`, `${bundle.directory}-unrounded`];
  await exportBundle({ bundle, out: exported });
  const checkpoint = await openCheckpoint(exported);
  await convert({ checkpoint, out, precision: 'f32' });
  await checkpoint.close();
  return openBundle(out);
}

/** Of `logits` from `others`, by row: the largest difference, as a share of the largest logit. */
function distances(logits: Float32Array, others: Float32Array, vocab: number): number[] {
  return Array.from({ length: ROWS }, (_, row) => {
    const part = (values: Float32Array) => values.subarray(row * vocab, (row + 1) * vocab);
    return largest(part(logits).map((logit, at) => logit - part(others)[at]!)) / largest(logits);
  });
}

/** Root of the mean square of what `logits` are away from `others`. */
const distance = (logits: Float32Array, others: Float32Array): number =>
  Math.sqrt(logits.reduce((sum, logit, at) => sum + (logit - others[at]!) ** 2, 0) / logits.length);

for (const [precision, threads] of [
  ['int4', 1],
  ['int4', 3],
  ['int8', 1],
  ['int8', 3],
] as const) {
  test(`a few rows of ${precision} come out of the kernel as out of the graph runtime, with ${threads} threads`, async () => {
    const bundle = await bundleOf(`${precision}-${threads}`, precision);
    const { vocab } = bundle.manifest.shape;
    const graphs = withoutKernel(bundle, 'layerWeights', 'headWeights');
    const all = await logitsOf(graphs, threads, ROWS);
    const one = await logitsOf(bundle, threads, 1);
    assert.notDeepEqual(one, all, 'not a bit differs: the kernel did not run');
    // Both round the same floats to the same bytes, but floats are the same up to the order of sums only. One in the middle
    // between two bytes may become the other, and what follows in its sequence is then rounded anew: two draws of the same
    // error, that of rounding rows, of which neither is further from the unrounded logits, and which differ by √2 of it at most.
    const exact = await logitsOf(await unrounded(bundle), threads, ROWS);
    const error = distance(all, exact);
    const apart = distance(one, all);
    assert.ok(apart <= Math.SQRT2 * error, `${apart} apart, by rounding ${error}`);
    // Short sequences, so that what one byte changes ends soon: most rows see none that turned.
    const short = distances(
      await logitsOf(graphs, threads, SHORT, SHORT),
      await logitsOf(bundle, threads, 1, SHORT),
      vocab,
    );
    const same = short.filter((difference) => difference <= SAME).length;
    assert.ok(same >= ROWS / 2, `${short}`);
    // Layers as small as these take all rows where vectors are joined; the head takes few everywhere.
    const layers = withoutKernel(bundle, 'headWeights');
    const alone = await logitsOf(layers, threads, 1);
    const together = thisProcessor().flags.has('avx2') ? ROWS : LIMITS.kernelRows;
    for (const rows of [2, 3, 4, 5, 7, 9, 12, ROWS].filter((rows) => rows <= together)) {
      assert.deepEqual(await logitsOf(layers, threads, rows), alone, `${rows} rows together`);
      if (rows > LIMITS.kernelRows) continue;
      assert.deepEqual(await logitsOf(bundle, threads, rows), one, `${rows} rows together, with the head`);
    }
  });
}

test('layers with more to them than the kernel knows, and sizes it does not take, run in the graph runtime', async () => {
  for (const model of [{ activation: 'gelu-tanh' as const }, { ffn: 72 }, { qkvBias: true }]) {
    const name = Object.keys(model)[0]!;
    const bundle = await bundleOf(name, 'int4', model);
    assert.equal(bundle.manifest.layerWeights, undefined, name);
    const [all, one] = [await logitsOf(bundle, 2, ROWS), await logitsOf(bundle, 2, 1)];
    const difference = largest(all.map((logit, at) => logit - one[at]!));
    assert.ok(difference <= SAME * largest(all), `${name}: ${difference} of ${largest(all)}`);
  }
});

test('the head of a few rows names the candidates and the sum that it names among more rows', async () => {
  const bundle = await bundleOf('head', 'int8');
  assert.ok(bundle.manifest.headWeights);
  const { hidden, vocab } = bundle.manifest.shape;
  const states = Float32Array.from({ length: 6 * hidden }, (_, at) => 3 * Math.sin(at * at));
  const engine = await createEngine(bundle, { threads: 2, kvBytes: 2 ** 22, provider: 'cpu' });
  const heads = (first: number, end: number) =>
    engine.runHead({ state: states.slice(first * hidden, end * hidden), wantLogits: true });
  try {
    const many = await heads(0, 6);
    const width = many.topIds.length / 6;
    for (const [first, end] of [
      [0, 1],
      [1, 5],
      [5, 6],
    ] as const) {
      const few = await heads(first, end);
      const part = <Values extends Float32Array | Int32Array>(values: Values, size: number) =>
        values.slice(first * size, end * size) as Values;
      assert.deepEqual(few.topIds, part(many.topIds, width));
      near(few.topLogits, part(many.topLogits, width));
      near(few.logSumExp, part(many.logSumExp, 1));
      near(few.logits!, part(many.logits!, vocab));
    }
  } finally {
    await engine.close();
  }
});

function near(values: Float32Array, expected: Float32Array): void {
  assert.equal(values.length, expected.length);
  const difference = largest(values.map((value, at) => value - expected[at]!));
  assert.ok(difference <= SAME * largest(expected), `${difference} of ${largest(expected)}`);
}

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Manifest } from '@rondo/bundle';
import { LIMITS } from '@rondo/core';
import fc from 'fast-check';
import type { KvCopy, StackBatch } from './engine.ts';
import { HostKernel } from './host-kernel.ts';
import { pickRows } from './pick-rows.ts';

const PAGE_POSITIONS = 16;
const CONTEXT = 80;

/** Heads, K/V heads and head size: grouped or not, whole and broken blocks of queries, sizes that fill no vectors. */
const SHAPES = [
  [9, 3, 64],
  [4, 4, 8],
  [3, 1, 12],
  [8, 1, 16],
  [4, 2, 20],
  [5, 1, 40],
] as const;

const random = (seed: number): (() => number) => {
  let state = seed + 1;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) | 0;
    return state / 2 ** 31;
  };
};

interface Row {
  readonly query: readonly number[][];
  readonly key: readonly number[][];
  readonly value: readonly number[][];
}

/** How keys and values are kept, and how far off results may be: by one number that was rounded to its other neighbour. */
interface Keeping {
  readonly precision: 'f32' | 'int8';
  readonly tolerance: number;
  kept(value: number): number;
}
const KEEPINGS: readonly Keeping[] = [
  { precision: 'f32', tolerance: 2e-5, kept: (value) => value },
  { precision: 'int8', tolerance: 6e-3, kept: (value) => brainFloat(value) },
];

/** The nearest number whose float ends with 16 zeros, of two as near the one that is even there. */
function brainFloat(value: number): number {
  const [float, bits] = [Math.fround(value), new DataView(new ArrayBuffer(4))];
  bits.setFloat32(0, float);
  const below = bits.getUint32(0) & 0xffff0000;
  const of = (word: number): number => {
    bits.setUint32(0, word);
    return bits.getFloat32(0);
  };
  const [near, far] = [of(below), of(below + 0x10000)];
  const [toNear, toFar] = [Math.abs(float - near), Math.abs(float - far)];
  if (toNear === toFar) return (below & 0x10000) === 0 ? near : far;
  return toNear < toFar ? near : far;
}

/** softmax(q·Kᵀ/√d)·V in doubles, after rotating queries and keys by their position; keys and values as they are `kept`. */
function attend(
  rows: readonly Row[],
  [position, head, kvHead]: readonly [number, number, number],
  kept: Keeping['kept'],
): number[] {
  const query = rotated(rows[position]!.query[head]!, position);
  const scores = rows
    .slice(0, position + 1)
    .map(
      ({ key }, at) =>
        rotated(key[kvHead]!, at).reduce((sum, value, dim) => sum + kept(value) * query[dim]!, 0) /
        Math.sqrt(query.length),
    );
  const largest = Math.max(...scores);
  const weights = scores.map((score) => Math.exp(score - largest));
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  return query.map((_, dim) =>
    weights.reduce((sum, weight, at) => sum + (weight / total) * kept(rows[at]!.value[kvHead]![dim]!), 0),
  );
}

const frequency = (index: number): number => Math.fround(1 / 10 ** (index / 4));

function rotated(vector: readonly number[], position: number): number[] {
  const half = vector.length / 2;
  return vector.map((value, index) => {
    const angle = position * frequency(index % half);
    const other = vector[(index + half) % vector.length]!;
    return value * Math.cos(angle) + (index < half ? -other : other) * Math.sin(angle);
  });
}

function manifestOf(
  [heads, kvHeads, headDim]: (typeof SHAPES)[number],
  precision: Keeping['precision'],
): Manifest {
  return {
    precision,
    shape: { hidden: 8, heads, kvHeads, headDim, vocab: 8, context: CONTEXT },
    layers: { prelude: 0, block: 2, coda: 0 },
    maxDepth: 2,
    pagePositions: PAGE_POSITIONS,
    rope: {
      inverseFrequencies: Array.from({ length: headDim / 2 }, (_, index) => frequency(index)),
      attentionFactor: 1,
    },
  } as unknown as Manifest;
}

for (const { shape, precision, tolerance, kept } of SHAPES.flatMap((shape) =>
  KEEPINGS.map((keeping) => ({ shape, ...keeping })),
)) {
  test(`attention over pages is attention, whatever else is in the run: ${shape.join('/')}, ${precision}`, async () => {
    const [heads, kvHeads, headDim] = shape;
    const pools = { prelude: 1, block: 41, coda: 1 };
    const attention = new HostKernel(manifestOf(shape, precision), { threads: 2, pools });
    const sequence = fc.record({
      rows: fc.integer({ min: 1, max: CONTEXT }),
      cuts: fc.array(fc.integer({ min: 1, max: 40 }), { maxLength: 5 }),
    });
    try {
      fc.assert(
        fc.property(fc.array(sequence, { minLength: 1, maxLength: 6 }), fc.nat(1000), (sequences, seed) => {
          attention.poison(
            'block',
            Int32Array.from({ length: pools.block }, (_, page) => page),
          );
          const next = random(seed);
          const vectors = (count: number) =>
            Array.from({ length: count }, () =>
              Array.from({ length: headDim }, () => Math.fround(2 * next())),
            );
          const inputs = sequences.map(({ rows }) =>
            Array.from(
              { length: rows },
              (): Row => ({ query: vectors(heads), key: vectors(kvHeads), value: vectors(kvHeads) }),
            ),
          );
          const pagesOf = (index: number) =>
            Array.from(
              { length: CONTEXT / PAGE_POSITIONS },
              (_, page) => 1 + page * sequences.length + index,
            );
          // Each turn runs the next chunk of every sequence together, in layer 1 of the stack.
          const done = sequences.map(() => 0);
          for (let turn = 0; done.some((at, index) => at < inputs[index]!.length); turn++) {
            const chunks = sequences.flatMap(({ rows, cuts }, index) => {
              const count = Math.min(cuts[turn] ?? 40, rows - done[index]!);
              return count > 0 ? [{ index, start: done[index]!, count }] : [];
            });
            const total = chunks.reduce((sum, { count }) => sum + count, 0);
            const qkv = Float32Array.from(
              chunks.flatMap(({ index, start, count }) =>
                inputs[index]!.slice(start, start + count).flatMap(({ query, key, value }) =>
                  [query, key, value].flat(2),
                ),
              ),
            );
            const batch = {
              stack: 'block',
              starts: Int32Array.from(chunks, ({ start }) => start),
              rowCounts: Int32Array.from(chunks, ({ count }) => count),
              pageTable: Int32Array.from(chunks.flatMap(({ index }) => pagesOf(index))),
            } as unknown as StackBatch;
            attention.begin(batch);
            const out = new Float32Array(total * heads * headDim);
            attention.run(1, qkv, out);
            // A few rows alone, down to none, attend as among all.
            const wanted = Array.from({ length: total }, (_, row) => row).filter(() => next() > turn / 2);
            attention.begin(batch);
            attention.narrow(wanted);
            const narrowed = new Float32Array(out.length);
            attention.run(1, qkv, narrowed);
            const width = heads * headDim;
            assert.deepEqual(pickRows(narrowed, wanted, width), pickRows(out, wanted, width));
            let row = 0;
            for (const { index, start, count } of chunks) {
              for (let offset = 0; offset < count; offset++, row++) {
                for (let head = 0; head < heads; head++) {
                  const expected = attend(
                    inputs[index]!,
                    [start + offset, head, Math.floor(head / (heads / kvHeads))],
                    kept,
                  );
                  expected.forEach((value, dim) => {
                    const found = out[(row * heads + head) * headDim + dim]!;
                    assert.ok(
                      Math.abs(found - value) < tolerance,
                      `row ${start + offset}: ${found}, expected ${value}`,
                    );
                  });
                }
              }
              done[index] = start + count;
            }
          }
        }),
        { numRuns: 6 },
      );
    } finally {
      await attention.close();
    }
  });
}

test('a row whose earlier positions were copied into its pages attends as behind those they came from', async () => {
  for (const [shape, precision] of SHAPES.flatMap((shape) =>
    KEEPINGS.map(({ precision }) => [shape, precision] as const),
  )) {
    const [heads, kvHeads, headDim] = shape;
    const pools = { prelude: 1, block: 5, coda: 1 };
    const attention = new HostKernel(manifestOf(shape, precision), { threads: 1, pools });
    attention.poison('block', Int32Array.of(1, 2, 3, 4));
    const next = random(headDim);
    const width = (heads + 2 * kvHeads) * headDim;
    const qkv = Float32Array.from({ length: 21 * width }, () => 2 * next());
    const attended = (start: number, end: number, pages: readonly number[]) => {
      const out = new Float32Array((end - start) * heads * headDim);
      attention.begin({
        stack: 'block',
        starts: Int32Array.of(start),
        rowCounts: Int32Array.of(end - start),
        pageTable: Int32Array.from(pages),
      } as unknown as StackBatch);
      for (const layer of [0, 1]) attention.run(layer, qkv.subarray(start * width, end * width), out);
      return out;
    };
    try {
      attended(0, 20, [1, 2]);
      const expected = attended(20, 21, [1, 2]);
      const copies = [
        [1, 3, 0, 1],
        [1, 3, 1, 10],
        [1, 3, 11, 5],
        [2, 4, 0, 4],
      ].map(([fromPage, toPage, slot, slots]) => ({ fromPage, toPage, slot, slots }) as KvCopy);
      attention.copy('block', copies);
      assert.deepEqual(attended(20, 21, [3, 4]), expected);
      assert.ok(expected.every(Number.isFinite));
    } finally {
      await attention.close();
    }
  }
});

test('a sequence with one depth here may be as long as all pages are, and no longer', async () => {
  // 20 pages hold 320 positions of one depth of two; with both depths a sequence has 160 at most.
  const [heads, kvHeads, headDim] = [4, 2, 20] as const;
  const plain = manifestOf([heads, kvHeads, headDim], 'f32');
  const manifest = { ...plain, shape: { ...plain.shape, context: 4096 } };
  const width = (heads + 2 * kvHeads) * headDim;
  const next = random(320);
  const qkv = Float32Array.from({ length: 320 * width }, () => 2 * next());
  const pageTable = Int32Array.from({ length: 20 }, (_, page) => 1 + page);
  const attended = async (block: number, ends: readonly number[]) => {
    const attention = new HostKernel(manifest, { threads: 1, pools: { prelude: 1, block, coda: 1 } });
    try {
      let [start, out] = [0, new Float32Array(0)];
      for (const end of ends) {
        const batch = { stack: 'block', starts: [start], rowCounts: [end - start], pageTable };
        attention.begin(batch as unknown as StackBatch);
        out = new Float32Array((end - start) * heads * headDim);
        attention.run(1, qkv.subarray(start * width, end * width), out);
        start = end;
      }
      return out;
    } finally {
      await attention.close();
    }
  };
  assert.deepEqual(await attended(21, [256, 320]), await attended(257, [256, 320]));
  await assert.rejects(attended(21, [256, 320, 337]), { code: 'ENGINE_FAILED', message: /337 positions/ });
});

test('keys of more rows than a step may have, or of a position behind all pages, are refused before they are placed', async () => {
  const attention = new HostKernel(manifestOf([4, 4, 8], 'f32'), {
    threads: 1,
    pools: { prelude: 1, block: 5, coda: 1 },
  });
  try {
    const begin = (positions: Int32Array) =>
      attention.beginKeys('block', positions, new Int32Array(positions.length).fill(1));
    begin(new Int32Array(LIMITS.stepRowsMax).fill(CONTEXT - 1));
    assert.throws(() => begin(new Int32Array(LIMITS.stepRowsMax + 1)), {
      code: 'ENGINE_FAILED',
      message: RegExp(`${LIMITS.stepRowsMax + 1} rows`),
    });
    assert.throws(() => begin(Int32Array.of(0, CONTEXT)), {
      code: 'ENGINE_FAILED',
      message: RegExp(`${CONTEXT + 1} positions`),
    });
  } finally {
    await attention.close();
  }
});

test('attention with vectors joined is the same to the last bit', async () => {
  for (const [shape, precision] of SHAPES.flatMap((shape) =>
    KEEPINGS.map(({ precision }) => [shape, precision] as const),
  )) {
    const [joined, apart] = [await prompted(shape, precision, 2), await prompted(shape, precision, 1)];
    assert.deepEqual(joined, apart);
    assert.ok(joined.every(Number.isFinite));
  }
});

/** Attention of two prompts, one behind the other, of rows that are random. */
async function prompted(
  shape: (typeof SHAPES)[number],
  precision: Keeping['precision'],
  registerVectors: 1 | 2,
): Promise<Float32Array> {
  const [heads, kvHeads, headDim] = shape;
  const attention = new HostKernel(manifestOf(shape, precision), {
    threads: 1,
    pools: { prelude: 1, block: 11, coda: 1 },
    target: { dots: 'pairs', registerVectors },
  });
  const counts = [CONTEXT, 19];
  const rows = counts.reduce((sum, count) => sum + count, 0);
  const next = random(rows);
  try {
    attention.begin({
      stack: 'block',
      starts: Int32Array.of(0, 0),
      rowCounts: Int32Array.from(counts),
      pageTable: Int32Array.from({ length: 10 }, (_, page) => 1 + page),
    } as unknown as StackBatch);
    const out = new Float32Array(rows * heads * headDim);
    const qkv = Float32Array.from({ length: rows * (heads + 2 * kvHeads) * headDim }, () => 2 * next());
    attention.run(1, qkv, out);
    return out;
  } finally {
    await attention.close();
  }
}

test('where weights are rounded values are kept to the nearest 16 bits, of two as near the even one; NaN stays NaN', async () => {
  const attention = new HostKernel(manifestOf([4, 4, 8], 'int8'), {
    threads: 1,
    pools: { prelude: 1, block: 3, coda: 1 },
  });
  try {
    const values = [1 + 2 ** -8, 1 + 3 * 2 ** -8, -1 - 2 ** -8, 1 + 2 ** -8 + 2 ** -20, 0, -0.3, 3e38, 0.1];
    // Beside itself a row sees nothing: its attention is its values, as they were kept.
    const out = (rows: readonly number[]) => {
      const found = new Float32Array(32);
      const heads = (value: (at: number) => number) => Array.from({ length: 32 }, (_, at) => value(at));
      attention.begin({
        ...{
          stack: 'block',
          starts: Int32Array.of(0),
          rowCounts: Int32Array.of(1),
          pageTable: Int32Array.of(2),
        },
      } as unknown as StackBatch);
      attention.run(
        0,
        Float32Array.from([...heads(() => 0), ...heads(() => 0), ...heads((at) => rows[at % 8]!)]),
        found,
      );
      return [...found];
    };
    const expected = values.map((value) => brainFloat(value));
    assert.deepEqual(expected.slice(0, 4), [1, 1 + 2 ** -6, -1, 1 + 2 ** -7]);
    assert.deepEqual(
      out(values),
      [0, 1, 2, 3].flatMap(() => expected),
    );
    assert.ok(out(values.map(() => Number.NaN)).every(Number.isNaN));
  } finally {
    await attention.close();
  }
});

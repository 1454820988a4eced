import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Manifest } from '@rondo/bundle';
import fc from 'fast-check';
import type { StackBatch } from './engine.ts';
import { PagedAttention } from './paged-attention.ts';

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

/** softmax(q·Kᵀ/√d)·V in doubles, after rotating queries and keys by their position. */
function attend(rows: readonly Row[], position: number, head: number, kvHead: number): number[] {
  const query = rotated(rows[position]!.query[head]!, position);
  const scores = rows
    .slice(0, position + 1)
    .map(
      ({ key }, at) =>
        rotated(key[kvHead]!, at).reduce((sum, value, dim) => sum + value * query[dim]!, 0) /
        Math.sqrt(query.length),
    );
  const largest = Math.max(...scores);
  const weights = scores.map((score) => Math.exp(score - largest));
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  return query.map((_, dim) =>
    weights.reduce((sum, weight, at) => sum + (weight / total) * rows[at]!.value[kvHead]![dim]!, 0),
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

function manifestOf([heads, kvHeads, headDim]: (typeof SHAPES)[number]): Manifest {
  return {
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

for (const shape of SHAPES) {
  test(`attention over pages is attention, whatever else is in the run: ${shape.join('/')}`, async () => {
    const [heads, kvHeads, headDim] = shape;
    const pools = { prelude: 1, block: 41, coda: 1 };
    const attention = new PagedAttention(manifestOf(shape), { threads: 2, pools });
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
            attention.begin({
              stack: 'block',
              starts: Int32Array.from(chunks, ({ start }) => start),
              rowCounts: Int32Array.from(chunks, ({ count }) => count),
              pageTable: Int32Array.from(chunks.flatMap(({ index }) => pagesOf(index))),
            } as unknown as StackBatch);
            const out = new Float32Array(total * heads * headDim);
            attention.run(1, qkv, out);
            let row = 0;
            for (const { index, start, count } of chunks) {
              for (let offset = 0; offset < count; offset++, row++) {
                for (let head = 0; head < heads; head++) {
                  const expected = attend(
                    inputs[index]!,
                    start + offset,
                    head,
                    Math.floor(head / (heads / kvHeads)),
                  );
                  expected.forEach((value, dim) => {
                    const found = out[(row * heads + head) * headDim + dim]!;
                    assert.ok(
                      Math.abs(found - value) < 2e-5,
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

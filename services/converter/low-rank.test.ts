import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { type LowRank, type RankWish, truncatedSvd } from './low-rank.ts';
import { readSafetensors } from './safetensors.ts';
import { SeededRandom } from './seeded-random.ts';
import type { StoredTensor } from './tensor-file.ts';

const METHODS = ['exact', 'randomised'] as const;

/** b [out, rank] · a [rank, in] */
function product(b: Float32Array, a: Float32Array, rank: number): Float64Array {
  const [out, columns] = [b.length / rank, a.length / rank];
  const result = new Float64Array(out * columns);
  for (let row = 0; row < out; row++) {
    for (let k = 0; k < rank; k++) {
      for (let column = 0; column < columns; column++) {
        result[row * columns + column]! += b[row * rank + k]! * a[k * columns + column]!;
      }
    }
  }
  return result;
}

const rebuilt = ({ a, b, rank }: LowRank): Float64Array => product(b, a, rank);

const norm = (values: ArrayLike<number>): number => Math.hypot(...Array.from(values));
const difference = (some: ArrayLike<number>, others: ArrayLike<number>): Float64Array =>
  Float64Array.from({ length: some.length }, (_, at) => some[at]! - others[at]!);

function normalMatrix(out: number, columns: number, seed = 1): Float32Array {
  const random = new SeededRandom(seed);
  return Float32Array.from({ length: out * columns }, () => random.normal());
}

/** A matrix whose singular values fall off by `fall` from one to the next, up to `rank`. */
function fallingMatrix(out: number, columns: number, rank: number, fall: number): Float32Array {
  const b = normalMatrix(out, rank, 2).map((value, at) => (value * fall ** (at % rank)) / Math.sqrt(out));
  return Float32Array.from(product(b, normalMatrix(rank, columns, 3), rank));
}

/** Products of rows of a with each other: [rank, rank]. */
const rowsAgainstRows = (a: Float32Array, rank: number): number[] => {
  const columns = a.length / rank;
  return Array.from({ length: rank * rank }, (_, at) => {
    const [row, other] = [Math.floor(at / rank) * columns, (at % rank) * columns];
    let sum = 0;
    for (let column = 0; column < columns; column++) sum += a[row + column]! * a[other + column]!;
    return sum;
  });
};

describe("torch.linalg.svd's best matrix of a rank is found again", () => {
  let tensors: ReadonlyMap<string, StoredTensor>;
  before(async () => {
    tensors = await readSafetensors(new URL('./fixtures/low-rank.safetensors', import.meta.url).pathname);
  });
  after(() => tensors.values().next().value?.file.close());
  const read = (name: string) => {
    const tensor = tensors.get(name)!;
    return tensor.file.read(tensor);
  };

  for (const [name, method] of [
    ['exponential', 'exact'],
    ['square', 'exact'],
    ['slow', 'exact'],
    ['residual', 'exact'],
    ['exponential', 'randomised'],
    ['square', 'randomised'],
    ['slow', 'randomised'],
  ] as const) {
    test(`${name}, ${method}`, async () => {
      const [out, columns] = tensors.get(name)!.shape as [number, number];
      const [a, b, values] = [await read(`${name}.a`), await read(`${name}.b`), await read(`${name}.values`)];
      const rank = a.length / columns;
      const matrix = await read(name);
      const found = truncatedSvd(matrix, out, columns, { rank, method });
      assert.equal(found.rank, rank);
      const expected = product(b, a, rank);
      const apart = norm(difference(rebuilt(found), expected)) / norm(expected);
      assert.ok(apart <= 1e-4, `${apart} apart`);
      const valuesApart = norm(difference(found.singularValues, values.subarray(0, rank))) / values[0]!;
      assert.ok(valuesApart <= 1e-5, `singular values ${valuesApart} apart`);
      const kept = 1 - norm(difference(rebuilt(found), matrix)) ** 2 / norm(matrix) ** 2;
      assert.ok(Math.abs(found.share - kept) <= 1e-6, `share ${found.share}, ${kept} kept`);
    });
  }
});

describe('factors are orthogonal, in order, and as good as their rank allows', () => {
  const SHAPES = [
    [24, 24],
    [40, 17],
    [17, 40],
    [1, 30],
    [30, 1],
    [1, 1],
    [2, 5],
    [3, 3],
  ] as const;
  for (const method of METHODS) {
    for (const [out, columns] of SHAPES) {
      test(`[${out}, ${columns}] ${method}`, () => {
        const matrix = normalMatrix(out, columns);
        const whole = truncatedSvd(matrix, out, columns, { method });
        assert.equal(whole.rank, Math.min(out, columns));
        assert.ok(norm(difference(rebuilt(whole), matrix)) <= 1e-6 * norm(matrix), 'exact at full rank');
        assert.ok(Math.abs(whole.share - 1) <= 1e-12, `all is kept, not ${whole.share}`);
        for (let rank = 1; rank <= whole.rank; rank += 3) {
          const { a, b, singularValues, share } = truncatedSvd(matrix, out, columns, { rank, method });
          const identity = rowsAgainstRows(a, rank).map(
            (value, at) => value - (at % (rank + 1) === 0 ? 1 : 0),
          );
          assert.ok(norm(identity) <= 1e-6 * rank, 'rows of A are orthonormal');
          const squares = Float32Array.from(b, (_, at) => b[(at % out) * rank + Math.floor(at / out)]!);
          rowsAgainstRows(squares, rank).forEach((value, at) => {
            const [row, other] = [Math.floor(at / rank), at % rank];
            const expected = row === other ? singularValues[row]! ** 2 : 0;
            assert.ok(Math.abs(value - expected) <= 1e-5 * singularValues[0]! ** 2, 'columns of B');
          });
          assert.deepEqual(
            [...singularValues],
            [...singularValues].sort((x, y) => y - x),
          );
          assert.ok(share <= whole.share + 1e-12);
        }
      });
    }
  }

  test('the better the higher the rank', () => {
    const matrix = normalMatrix(30, 50);
    const shares = [1, 4, 9, 20, 30].map((rank) => truncatedSvd(matrix, 30, 50, { rank }).share);
    assert.deepEqual(shares, [...shares].sort());
    assert.ok(shares[0]! < 0.2 && shares[3]! > 0.8, `${shares}`);
  });
});

describe('what a matrix has no more of is left out', () => {
  for (const method of METHODS) {
    test(`a matrix of rank 5 has rank 5, ${method}`, () => {
      for (const [out, columns] of [
        [60, 90],
        [90, 60],
      ] as const) {
        const matrix = fallingMatrix(out, columns, 5, 0.5);
        const found = truncatedSvd(matrix, out, columns, { rank: 20, method });
        assert.equal(found.rank, 5);
        assert.ok(norm(difference(rebuilt(found), matrix)) <= 1e-6 * norm(matrix));
      }
    });

    test(`a matrix of zeros keeps one rank of zeros, ${method}`, () => {
      const found = truncatedSvd(new Float32Array(12 * 20), 12, 20, { rank: 4, method });
      assert.deepEqual([found.rank, found.share, ...found.singularValues], [1, 1, 0]);
      assert.ok([...found.a, ...found.b].every((value) => value === 0));
      assert.deepEqual([found.a.length, found.b.length], [20, 12]);
    });

    test(`equal singular values, ${method}`, () => {
      const identity = Float32Array.from({ length: 400 }, (_, at) => (at % 21 === 0 ? 3 : 0));
      const whole = truncatedSvd(identity, 20, 20, { method });
      assert.ok(norm(difference(rebuilt(whole), identity)) <= 1e-6 * norm(identity));
      const half = truncatedSvd(identity, 20, 20, { rank: 10, method });
      assert.ok(Math.abs(half.share - 0.5) <= 1e-6, `${half.share}`);
    });
  }

  test('tiny and huge values', () => {
    for (const size of [1e-30, 1e15]) {
      const matrix = normalMatrix(10, 14).map((value) => value * size);
      const found = truncatedSvd(matrix, 10, 14, {});
      assert.ok(norm(difference(rebuilt(found), matrix)) <= 1e-6 * norm(matrix), `${size}`);
    }
  });
});

describe('energy chooses the rank', () => {
  const [out, columns] = [80, 120];
  const matrix = fallingMatrix(out, columns, 60, 0.9);
  for (const method of METHODS) {
    test(`the smallest that keeps the share, ${method}`, () => {
      for (const energy of [0.3, 0.9, 0.999]) {
        const { rank, share } = truncatedSvd(matrix, out, columns, { energy, method });
        const below = rank === 1 ? 0 : truncatedSvd(matrix, out, columns, { rank: rank - 1 }).share;
        assert.ok(
          below < energy && share >= energy,
          `${energy}: rank ${rank} keeps ${share}, one less ${below}`,
        );
      }
    });
  }

  test('and a rank caps it', () => {
    const found = truncatedSvd(matrix, out, columns, { energy: 0.999, rank: 7 });
    assert.equal(found.rank, 7);
    assert.ok(found.share < 0.999);
  });
});

describe('a sketch', () => {
  test('is the same for the same seed, and hardly another for another seed', () => {
    const matrix = fallingMatrix(150, 200, 100, 0.9);
    const wish: RankWish = { rank: 10, method: 'randomised' };
    const [one, again, other] = [7, 7, 8].map((seed) => truncatedSvd(matrix, 150, 200, { ...wish, seed }));
    assert.deepEqual(one, again);
    assert.notDeepEqual(one!.a, other!.a);
    assert.ok(norm(difference(rebuilt(one!), rebuilt(other!))) <= 1e-4 * norm(rebuilt(one!)));
  });

  test('of a random matrix keeps nearly what the best of its rank keeps', () => {
    const matrix = normalMatrix(300, 400);
    const sketch = truncatedSvd(matrix, 300, 400, { rank: 20, method: 'randomised' });
    const best = truncatedSvd(matrix, 300, 400, { rank: 20, method: 'exact' });
    assert.ok(
      sketch.share <= best.share && sketch.share >= 0.99 * best.share,
      `${sketch.share}, ${best.share}`,
    );
  });
});

test('an impossible rank or energy, a wrong size and values that are not finite are refused', () => {
  const matrix = normalMatrix(4, 5);
  const refused = (code: string, message: RegExp, wish: RankWish, given = matrix) =>
    assert.throws(() => truncatedSvd(given, 4, 5, wish), { code, message });
  for (const rank of [0, -1, 1.5]) refused('CONFIG_INVALID', /rank .*whole number from 1/, { rank });
  for (const energy of [0, 1.1, Number.NaN]) refused('CONFIG_INVALID', /energy .*\(0, 1\]/, { energy });
  refused('INTERNAL', /\[4, 5\]: found 6 values/, {}, new Float32Array(6));
  refused('INTERNAL', /not finite/, {}, matrix.with(3, Number.NaN));
});

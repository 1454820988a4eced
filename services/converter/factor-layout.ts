import type { Factors } from './adapters-weights.ts';

/** B [out, rank] turned into Bᵀ [rank, out], and padded with rows of zeros to `rows`. */
export function turnedB({ b }: Factors, rank: number, rows = rank): Float32Array {
  const out = b.length / rank;
  const turned = new Float32Array(rows * out);
  for (let row = 0; row < out; row++) {
    for (let k = 0; k < rank; k++) turned[k * out + row] = b[row * rank + k]!;
  }
  return turned;
}

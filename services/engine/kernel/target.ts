import type { Processor } from '../processor.ts';

/**
 * How products of signed bytes with bytes of seven bits are summed: neighbours by `pairs` in 16 bits, then in 32, or by `fours`
 * in 32 at once. Both are exact.
 */
const DOT_PRODUCTS = ['pairs', 'fours'] as const;
export type DotProduct = (typeof DOT_PRODUCTS)[number];

/** What V8 makes machine code for, as far as it changes which instructions are best. Results do not depend on it, to the last bit. */
export interface Target {
  readonly dots: DotProduct;
  /** Neighbouring vectors of 128 bits that V8 joins in one register. */
  readonly registerVectors: 1 | 2;
}

export const TARGETS: readonly Target[] = DOT_PRODUCTS.flatMap((dots) => [
  { dots, registerVectors: 1 },
  { dots, registerVectors: 2 },
]);

/**
 * What the processor does faster. V8 makes one instruction of a sum of fours where there is AVX-VNNI (of AVX512-VNNI it
 * makes no use) or Arm's dot product, which every Mac with an Arm processor has; elsewhere five instead of the three for pairs.
 * It joins vectors where there is AVX2.
 */
export function targetOf({ platform, arch, flags }: Processor): Target {
  const fours =
    arch === 'x64'
      ? flags.has('avx_vnni')
      : arch === 'arm64' && (platform === 'darwin' || flags.has('asimddp'));
  const joined = arch === 'x64' && flags.has('avx2') && flags.has('fma');
  return { dots: fours ? 'fours' : 'pairs', registerVectors: joined ? 2 : 1 };
}

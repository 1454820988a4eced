import type { Processor } from '../processor.ts';

/**
 * How products of signed bytes with bytes of seven bits are summed: neighbours by `pairs` in 16 bits, then in 32, or by `fours`
 * in 32 at once. Both are exact.
 */
export const DOT_PRODUCTS = ['pairs', 'fours'] as const;
export type DotProduct = (typeof DOT_PRODUCTS)[number];

/**
 * What the processor does faster. V8 makes one instruction of a sum of fours where there is AVX-VNNI (of AVX512-VNNI it
 * makes no use) or Arm's dot product, which every Mac with an Arm processor has; elsewhere five instead of the three for pairs.
 */
export function dotProductOf({ platform, arch, flags }: Processor): DotProduct {
  const fours =
    arch === 'x64'
      ? flags.has('avx_vnni')
      : arch === 'arm64' && (platform === 'darwin' || flags.has('asimddp'));
  return fours ? 'fours' : 'pairs';
}

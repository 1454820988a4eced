import { setFlagsFromString } from 'node:v8';
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

/** Set for the whole process, so for as short as it takes: other modules are translated as always, and when they first run. */
const AT_ONCE_OPTIMISED = ['liftoff', 'wasm-lazy-compilation'] as const;
const JOINED = 'experimental-wasm-revectorize';

/**
 * The module with all its functions optimised for `target` (some 50 ms), before the first call of one. (ADR 11)
 */
export function compile(
  bytes: Uint8Array<ArrayBuffer>,
  { registerVectors }: Pick<Target, 'registerVectors'>,
): WebAssembly.Module {
  const joined = registerVectors > 1;
  for (const option of AT_ONCE_OPTIMISED) setFlagsFromString(`--no-${option}`);
  if (joined) setFlagsFromString(`--${JOINED}`);
  try {
    return new WebAssembly.Module(joined ? marked(bytes) : bytes);
  } finally {
    for (const option of AT_ONCE_OPTIMISED) setFlagsFromString(`--${option}`);
    if (joined) setFlagsFromString(`--no-${JOINED}`);
  }
}

/** With a custom section behind: V8 keeps what it made of a module and takes it for the next one of the same bytes. */
const marked = (bytes: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> =>
  Uint8Array.from([...bytes, 0, JOINED.length + 1, JOINED.length, ...Buffer.from(JOINED)]);

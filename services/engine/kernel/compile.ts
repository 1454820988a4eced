import { setFlagsFromString } from 'node:v8';
import type { Target } from './target.ts';

/** Set for the whole process, so for as short as it takes: other modules are translated as always, and when they first run. */
const AT_ONCE_OPTIMISED = ['liftoff', 'wasm-lazy-compilation'] as const;
const JOINED = 'experimental-wasm-revectorize';

/**
 * The module with all its functions optimised for `target` (some ten milliseconds), before the first call of one. (ADR 11)
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

import { isAscii } from 'node:buffer';

/** As many as one of the widest registers holds. */
const BYTES = new Uint8Array(64);

/**
 * Empties the upper halves of the processor's registers, in some 20 ns. V8 leaves them as joined vectors filled them, and on Intel's
 * processors every SSE instruction behind that, in V8's own functions or in the graph runtime's, then waits for them:
 * Math.pow took twelve times as long. What looks for ASCII uses AVX, as its compiler knows, and ends with VZEROUPPER.
 */
export const emptyUpperHalves = (): void => {
  isAscii(BYTES);
};

import type { Bundle } from '@rondo/bundle';
import type { Engine } from '@rondo/engine';

/** A state of a row, another one for each seed. */
export const stateOf = (bundle: Bundle, seed: number): Float32Array =>
  Float32Array.from({ length: bundle.manifest.shape.hidden }, (_, at) =>
    Math.sin(seed + 1 + at * (seed + 2)),
  );

/** One pass over rows that each are their sequence's first. */
export async function blockPass(
  engine: Engine,
  states: readonly Float32Array[],
  depths: readonly number[],
): Promise<Float32Array> {
  const { state } = await engine.runStack({
    stack: 'block',
    input: Float32Array.from(states.flatMap((row) => [...row])),
    starts: new Int32Array(states.length),
    rowCounts: new Int32Array(states.length).fill(1),
    depths: Int32Array.from(depths),
    pageTable: Int32Array.from(states, (_, row) => 1 + row),
    copies: [],
  });
  return state;
}

import type { HeadBatch, HeadRequest, Stack, StackBatch } from '@rondo/engine';
import { type Chunk, depthOf, liveRows, slotsOf } from './chunk.ts';

/** Shallow before deep: the order that the engine asks for. */
export const inDepthOrder = (chunks: readonly Chunk[]): Chunk[] =>
  chunks.toSorted((a, b) => depthOf(a) - depthOf(b));

/**
 * Puts chunks of one stack, in depth order, into the engine's form; takes the pages that their positions reach. All
 * arrays are new, or a chunk's own: the engine keeps them.
 */
export function stackBatch(
  stack: Stack,
  chunks: readonly Chunk[],
  hidden: number,
  { head, wanted, places }: Pick<StackBatch, 'head' | 'wanted' | 'places'> = {},
): StackBatch {
  const tables = chunks.map((chunk) =>
    chunk.tenant.residency.reach(stack, depthOf(chunk), chunk.start + chunk.rows),
  );
  const tableLength = Math.max(...tables.map((pages) => pages.length));
  const pageTable = new Int32Array(chunks.length * tableLength);
  tables.forEach((pages, index) => {
    pageTable.set(pages, index * tableLength);
  });
  const rows = rowsOf(chunks);
  return {
    stack,
    input: stack === 'prelude' ? joined(chunks, new Int32Array(rows)) : statesOf(chunks, hidden),
    starts: Int32Array.from(chunks, (chunk) => chunk.start),
    rowCounts: Int32Array.from(chunks, (chunk) => chunk.rows),
    depths: Int32Array.from(chunks, depthOf),
    pageTable,
    copies: chunks.flatMap((chunk) => chunk.tenant.residency.drain(stack, depthOf(chunk))),
    head,
    wanted,
    places,
  };
}

/** What the head must see of chunks that `leave` the stacks in their run; undefined when that is nothing. */
export function headRequest(
  chunks: readonly Chunk[],
  leave: (chunk: Chunk) => boolean,
): HeadRequest | undefined {
  const rows: number[] = [];
  let wantLogits = false;
  let end = 0;
  for (const chunk of chunks) {
    end += chunk.rows;
    const need =
      chunk.tenant.kind === 'home' && leave(chunk) ? chunk.tenant.headNeed(liveRows(chunk)) : undefined;
    if (!need) continue;
    for (let row = end - need.rows; row < end; row++) rows.push(row);
    wantLogits ||= need.wantLogits;
  }
  return rows.length > 0 ? { rows, wantLogits } : undefined;
}

export const headBatch = (chunks: readonly Chunk[], hidden: number): HeadBatch => ({
  state: statesOf(chunks, hidden),
  ...(chunks.some(slotsOf) && { slots: Int32Array.from(chunks.flatMap(placesOf)) }),
  wantLogits: chunks.some((chunk) => chunk.wantLogits),
});

export const rowsOf = (chunks: readonly { readonly rows: number }[]): number =>
  chunks.reduce((rows, chunk) => rows + chunk.rows, 0);

/** The slot of each row, −1 without. */
const placesOf = (chunk: Chunk): number[] => [...(slotsOf(chunk) ?? new Int32Array(chunk.rows).fill(-1))];

/** States that are here; of one chunk alone that has the memory of its states for itself, these. */
function statesOf(chunks: readonly Chunk[], hidden: number): Float32Array {
  const [{ input, own }] = chunks as [Chunk];
  if (chunks.length === 1 && own === input) return own;
  const here = chunks.filter((chunk) => !slotsOf(chunk));
  return joined(here, new Float32Array(rowsOf(here) * hidden));
}

function joined<Values extends Int32Array | Float32Array>(chunks: readonly Chunk[], target: Values): Values {
  let offset = 0;
  for (const { input } of chunks) {
    target.set(input, offset);
    offset += input.length;
  }
  return target;
}

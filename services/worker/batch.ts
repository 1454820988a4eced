import type { HeadBatch, Stack, StackBatch } from '@rondo/engine';
import { type Chunk, depthOf } from './chunk.ts';

/** Rows that each chunk takes in a batch, padding included. */
export const paddedRows = (chunks: readonly Chunk[]): number =>
  Math.max(...chunks.map((chunk) => chunk.rows));

/**
 * Puts chunks of one stack into the engine's form; takes the pages that their positions reach. All arrays are new:
 * the engine keeps them.
 */
export function stackBatch(stack: Stack, chunks: readonly Chunk[], hidden: number): StackBatch {
  const tables = chunks.map((chunk) =>
    chunk.tenant.residency.reach(stack, depthOf(chunk), chunk.start + chunk.rows),
  );
  const tableLength = Math.max(...tables.map((pages) => pages.length));
  const pageTable = new Int32Array(chunks.length * tableLength);
  tables.forEach((pages, index) => {
    pageTable.set(pages, index * tableLength);
  });
  const tenants = new Set(chunks.map((chunk) => chunk.tenant));
  const chores = [...tenants].map((tenant) => tenant.residency.drain(stack));
  return {
    stack,
    input: stack === 'prelude' ? paddedIds(chunks) : paddedStates(chunks, hidden),
    starts: Int32Array.from(chunks, (chunk) => chunk.start),
    rowCounts: Int32Array.from(chunks, (chunk) => chunk.rows),
    depths: Int32Array.from(chunks, depthOf),
    pageTable,
    freshPages: Int32Array.from(chores.flatMap((chore) => chore.freshPages)),
    copies: chores.flatMap((chore) => chore.copies),
  };
}

/** The rows of all chunks, without padding. */
export function headBatch(chunks: readonly Chunk[], hidden: number): HeadBatch {
  const state = new Float32Array(chunks.reduce((rows, chunk) => rows + chunk.rows, 0) * hidden);
  let offset = 0;
  for (const chunk of chunks) {
    state.set(chunk.input, offset);
    offset += chunk.rows * hidden;
  }
  return { state, wantLogits: chunks.some((chunk) => chunk.wantLogits) };
}

function paddedIds(chunks: readonly Chunk[]): Int32Array {
  const length = paddedRows(chunks);
  const ids = new Int32Array(chunks.length * length);
  chunks.forEach((chunk, index) => {
    ids.set(chunk.input, index * length);
  });
  return ids;
}

function paddedStates(chunks: readonly Chunk[], hidden: number): Float32Array {
  const length = paddedRows(chunks) * hidden;
  const states = new Float32Array(chunks.length * length);
  chunks.forEach((chunk, index) => {
    states.set(chunk.input, index * length);
  });
  return states;
}

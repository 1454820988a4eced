import type { Stack } from '@rondo/engine';
import { type Chunk, liveRows } from './chunk.ts';
import type { Whereabouts } from './itinerary.ts';

/**
 * Which rows of a run through `stack` somebody reads behind it, rising; undefined when that is all. Of a prompt in its last run
 * that is what the head or its home needs, mostly its very last row: the engine leaves out for the others what their K and V
 * do not need.
 */
export function wantedRows(
  stack: Stack,
  chunks: readonly Chunk[],
  where: Whereabouts,
): readonly number[] | undefined {
  const wanted: number[] = [];
  let end = 0;
  for (const chunk of chunks) {
    end += chunk.rows;
    for (let row = end - lastRows(stack, chunk, where); row < end; row++) wanted.push(row);
  }
  return wanted.length < end ? wanted : undefined;
}

/** How many of its last rows. Generated ones are all read: their exits are decided, and told, by what the run says of them. */
function lastRows(stack: Stack, chunk: Chunk, { maxDepth, codaLayers }: Whereabouts): number {
  const { tenant, start, rows } = chunk;
  const throughLoop = stack === 'coda' || (stack === 'block' && chunk.passes + 1 >= maxDepth);
  if (!throughLoop || tenant.isGenerated(start)) return rows;
  if (tenant.kind === 'stage') return tenant.rowsForHome(chunk);
  if (stack === 'block' && codaLayers > 0) return rows;
  return tenant.headNeed(liveRows(chunk))?.rows ?? 0;
}

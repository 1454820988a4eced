import type { Phase } from './chunk.ts';

/** Rows of prompts and rows of tokens being generated are not padded to one length: they take turns. */
export type Lane = 'decode' | 'prefill';

/** What the policy sees of a chunk: the first of its (sequence, phase, depth). */
export interface ReadyChunk {
  readonly phase: Phase;
  readonly passes: number;
  readonly rows: number;
}

export interface Decision<Ready> {
  readonly lane: Lane;
  readonly phase: Phase;
  readonly chunks: readonly Ready[];
}

/** What is outside the block runs first: it is short, and what comes out of it makes the next block run fuller. */
const PHASES: readonly Phase[] = ['head', 'coda', 'prelude', 'block'];

/**
 * Which chunks run next, or undefined when nothing is ready.
 * 1. Lane: the one that did not run last, if it has something ready, so that neither starves.
 * 2. Phase: head, coda, prelude, block.
 * 3. Chunks: deep before shallow, so that rows leave and make room; then as they came; as many as fit `rowsMax` rows,
 *    padding counted.
 */
export function decide<Ready extends ReadyChunk>(
  ready: readonly Ready[],
  lastLane: Lane,
  rowsMax: number,
): Decision<Ready> | undefined {
  const other: Lane = lastLane === 'decode' ? 'prefill' : 'decode';
  const lane = ready.some((chunk) => laneOf(chunk) === other) ? other : lastLane;
  const inLane = ready.filter((chunk) => laneOf(chunk) === lane);
  const phase = PHASES.find((candidate) => inLane.some((chunk) => chunk.phase === candidate));
  if (phase === undefined) return undefined;
  const queue = inLane.filter((chunk) => chunk.phase === phase).sort((a, b) => b.passes - a.passes);
  return { lane, phase, chunks: fill(queue, rowsMax) };
}

const laneOf = (chunk: ReadyChunk): Lane => (chunk.rows === 1 ? 'decode' : 'prefill');

function fill<Ready extends ReadyChunk>(queue: readonly Ready[], rowsMax: number): Ready[] {
  const chunks: Ready[] = [];
  let longest = 0;
  for (const chunk of queue) {
    longest = Math.max(longest, chunk.rows);
    if (chunks.length > 0 && longest * (chunks.length + 1) > rowsMax) break;
    chunks.push(chunk);
  }
  return chunks;
}

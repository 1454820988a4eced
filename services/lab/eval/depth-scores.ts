import { LIMITS } from '@rondo/core';
import type { Head } from './head.ts';
import type { Sequence } from './paged-sequence.ts';
import type { Sequences } from './sequences.ts';
import { type Reference, referenceOf, type WindowScore, WindowTally } from './window-scores.ts';
import type { Window } from './windows.ts';

type Read = (passes: number, heads: readonly Head[]) => void;

/** Rows of a window that are run together. */
interface WindowRun {
  readonly ids: readonly number[];
  /** How many of the last of them are scored. */
  readonly heads: number;
  /** [heads] What follows each of those. */
  readonly next: readonly number[];
}

/** `window` in runs of at most `LIMITS.evalRows` rows, in order; its last id is only ever what follows. */
export function* windowRuns({ ids: all, context }: Window): Generator<WindowRun> {
  for (let first = 0; first < all.length - 1; first += LIMITS.evalRows) {
    const end = Math.min(first + LIMITS.evalRows, all.length - 1);
    // Row r says what follows it: the first that is scored is the last of the context.
    const heads = Math.max(0, Math.min(end - first, end - (context - 1)));
    yield { ids: all.slice(first, end), heads, next: all.slice(end - heads + 1, end + 1) };
  }
}

export interface Pair {
  readonly a: Sequences;
  readonly b: Sequences;
}

/**
 * Scores `window` with B as it is after each number of passes in `exits`, for prompt rows too: one run of the loop tells
 * all of them, since K and V at a depth do not depend on deeper ones. A runs all of its passes.
 */
export async function depthScores(
  { a, b }: Pair,
  window: Window,
  exits: readonly number[],
): Promise<WindowScore[]> {
  const tallies = exits.map(() => new WindowTally(window.bytes));
  const [ofA, ofB] = [a.create(), b.create()];
  const full = a.bundle.manifest.maxDepth;
  try {
    for (const { ids, heads, next } of windowRuns(window)) {
      const found = new Map<number, readonly Head[]>();
      const append = (model: Sequences, sequence: Sequence, depths: readonly number[], read: Read) =>
        model.append([{ sequence, ids, heads }], depths, read);
      const tally = (passes: number, rows: readonly Head[], references: readonly Reference[]) => {
        const sums = tallies[exits.indexOf(passes)]!;
        rows.forEach((head, at) => {
          sums.add(head, next[at]!, passes, references[at]!);
        });
      };
      if (a === b) {
        // A beside itself: its last depth is what the others are held against.
        await append(a, ofA, exits, (passes, rows) => found.set(passes, rows));
        const references = found.get(full)!.map(referenceOf);
        for (const [passes, rows] of found) tally(passes, rows, references);
      } else {
        let references: Reference[] = [];
        await append(a, ofA, [full], (_, rows) => {
          references = rows.map(referenceOf);
        });
        await append(b, ofB, exits, (passes, rows) => tally(passes, rows, references));
      }
    }
  } finally {
    a.release(ofA);
    b.release(ofB);
  }
  return tallies.map((tally) => tally.score());
}

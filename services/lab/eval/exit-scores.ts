import type { Manifest } from '@rondo/bundle';
import { type ExitRule, LIMITS } from '@rondo/core';
import { appendRows } from './appended-rows.ts';
import type { Pair } from './depth-scores.ts';
import { sequencesThatFit } from './kv-fit.ts';
import type { Sequence } from './paged-sequence.ts';
import type { Sequences } from './sequences.ts';
import { type Reference, referenceOf, type WindowScore, WindowTally } from './window-scores.ts';
import type { Window } from './windows.ts';

/**
 * Windows that B may decode side by side under so many rules, so that neither rows of logits nor pages run short, though B be A
 * itself: each takes rules + 2 sequences then.
 */
export const windowsDecoded = (manifest: Manifest, rules: number, positions: number): number => {
  const fitting = Math.floor(sequencesThatFit(manifest, positions) / (rules + 2));
  return Math.max(1, Math.min(Math.floor(LIMITS.evalRows / rules), fitting));
};

/** Windows that A may hold beside them, of `wanted`. */
export const windowsHeld = (manifest: Manifest, positions: number, wanted: number): number =>
  Math.max(1, Math.min(LIMITS.evalRows, sequencesThatFit(manifest, positions), wanted));

/** Windows that `exitScores` takes at once. */
export const windowsTogether = ({ a, b }: Pair, rules: number, positions: number): number =>
  Math.min(
    windowsDecoded(b.bundle.manifest, rules, positions),
    windowsHeld(a.bundle.manifest, positions, LIMITS.evalRows),
  );

/**
 * Scores `windows` as they are served: what is given is a prompt, whose rows run every pass, and every later row is decoded
 * by itself and leaves the loop by each of `rules`. What deeper passes see of it is the bundle's affair. The ids are given,
 * so that all rules are held against the same text. A runs all of its passes.
 * @returns for each window, a score for each rule.
 */
export async function exitScores(
  { a, b }: Pair,
  windows: readonly Window[],
  rules: readonly ExitRule[],
): Promise<WindowScore[][]> {
  const { maxDepth } = b.bundle.manifest;
  const full = [a.bundle.manifest.maxDepth];
  const tallies = windows.map(({ bytes }) => rules.map(() => new WindowTally(bytes)));
  const ofA = windows.map(() => a.create());
  let references: Reference[] = [];
  await appendRows(a, prompts(ofA, windows), full, (at, _, [head]) => {
    references[at] = referenceOf(head!);
  });
  const given = windows.map(() => b.create());
  await appendRows(b, prompts(given, windows), [maxDepth], (at, _, [head]) => {
    const { ids, context } = windows[at]!;
    for (const tally of tallies[at]!) tally.add(head!, ids[context]!, maxDepth, references[at]!);
  });
  const rows = windows.flatMap((window, at) =>
    rules.map((rule, of) => ({ window, at, rule, sequence: b.fork(given[at]!), tally: tallies[at]![of]! })),
  );
  const longest = Math.max(...windows.map(({ ids }) => ids.length));
  for (let row = 0; row < longest; row++) {
    const live = windows.flatMap((window, at) => (hasRow(window, row) ? [{ window, at }] : []));
    if (live.length === 0) continue;
    references = [];
    const appends = live.map(({ window, at }) => ({ sequence: ofA[at]!, ids: [window.ids[row]!], heads: 1 }));
    await appendRows(a, appends, full, (of, _, [head]) => {
      references[live[of]!.at] = referenceOf(head!);
    });
    const decoding = rows.filter(({ window }) => hasRow(window, row));
    const decoded = await b.decode(
      decoding.map(({ window, sequence, rule }) => ({ sequence, rule, id: window.ids[row]! })),
    );
    decoding.forEach(({ window, at, tally }, of) => {
      const { head, passes } = decoded[of]!;
      tally.add(head, window.ids[row + 1]!, passes, references[at]!);
    });
  }
  releaseAll(a, ofA);
  releaseAll(b, [...given, ...rows.map(({ sequence }) => sequence)]);
  return tallies.map((each) => each.map((tally) => tally.score()));
}

/** Whether row `row` of a window is decoded: it is no prompt, and something follows it. */
const hasRow = ({ ids, context }: Window, row: number): boolean => row >= context && row + 1 < ids.length;

const prompts = (sequences: readonly Sequence[], windows: readonly Window[]) =>
  windows.map(({ ids, context }, at) => ({ sequence: sequences[at]!, ids: ids.slice(0, context), heads: 1 }));

function releaseAll(model: Sequences, sequences: readonly Sequence[]): void {
  for (const sequence of sequences) model.release(sequence);
}

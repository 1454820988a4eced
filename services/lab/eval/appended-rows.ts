import { LIMITS } from '@rondo/core';
import type { Head } from './head.ts';
import type { Append, Sequences } from './sequences.ts';

/** Told of rows of append `at`, from the `first` of those it asked the head about, after so many passes. */
export type ReadRows = (at: number, first: number, heads: readonly Head[], passes: number) => void;

/** Appends any number of rows to any number of sequences, in runs of `LIMITS.evalRows`; see `Sequences.append`. */
export async function appendRows(
  model: Sequences,
  appends: readonly Append[],
  exits: readonly number[],
  read: ReadRows = () => {},
): Promise<void> {
  const done = appends.map(() => 0);
  for (;;) {
    const run: { at: number; first: number; append: Append }[] = [];
    let room = LIMITS.evalRows;
    appends.forEach(({ sequence, ids, heads }, at) => {
      const begin = done[at]!;
      const end = Math.min(begin + room, ids.length);
      if (begin === end) return;
      const wanted = Math.max(0, Math.min(end - begin, end - (ids.length - heads)));
      const append = { sequence, ids: ids.slice(begin, end), heads: wanted };
      run.push({ at, first: end - wanted - (ids.length - heads), append });
      room -= end - begin;
      done[at] = end;
    });
    if (run.length === 0) return;
    const parts = run.map(({ append }) => append);
    await model.append(parts, exits, (passes, heads) => {
      let from = 0;
      for (const { at, first, append } of run) {
        if (append.heads > 0) read(at, first, heads.slice(from, from + append.heads), passes);
        from += append.heads;
      }
    });
  }
}

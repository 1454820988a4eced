import { decideExit, type ExitRule, survive } from '@rondo/core';
import type { Head } from './head.ts';
import type { Sequence } from './paged-sequence.ts';
import { type Piece, pieceOf, type StackRuns } from './stack-runs.ts';

/** The next row of one sequence, which leaves the loop when its rule says so. */
export interface Decode {
  readonly sequence: Sequence;
  readonly id: number;
  readonly rule: ExitRule;
}

export interface Decoded {
  /** Passes that the row spent. */
  readonly passes: number;
  readonly head: Head;
}

/** A row on its way through the loop. */
interface LiveRow {
  readonly rule: ExitRule;
  readonly piece: Piece;
  /** [hidden] */
  state: Float32Array;
  passes: number;
  survival: number;
  latentDiff?: number | undefined;
  /** Once it has left. */
  head?: Head;
}

/** Appends one row each, all of different sequences, whose exits are live. */
export async function decodeRows(runs: StackRuns, decodes: readonly Decode[]): Promise<Decoded[]> {
  const { maxDepth, shape } = runs.bundle.manifest;
  const pieces = decodes.map(({ sequence, id }) => pieceOf(sequence, [id]));
  const states = await runs.prelude(pieces);
  const rows = decodes.map(
    ({ rule }, at): LiveRow => ({
      rule,
      piece: pieces[at]!,
      state: rowOf(states, at, shape.hidden),
      passes: 0,
      survival: 1,
    }),
  );
  for (let passes = 1; passes <= maxDepth; passes++) {
    const live = rows.filter((row) => !row.head);
    if (live.length > 0) await runPass(runs, live, passes);
  }
  await leaveBehind(runs, rows);
  for (const { sequence } of pieces) sequence.length++;
  return rows.map(({ passes, head }) => ({ passes, head: head! }));
}

/** Runs pass number `passes` of `live` rows and settles those that leave. */
async function runPass(runs: StackRuns, live: readonly LiveRow[], passes: number): Promise<void> {
  const { maxDepth, shape } = runs.bundle.manifest;
  const { state, gate, latentDiff } = await runs.block(joined(live), passes - 1, piecesOf(live));
  const leaving: LiveRow[] = [];
  const asking: LiveRow[] = [];
  live.forEach((row, at) => {
    row.state = rowOf(state, at, shape.hidden);
    row.passes = passes;
    if (gate) row.survival = survive(row.survival, gate[at]!);
    row.latentDiff = latentDiff?.[at];
    const decision = decideExit(row.rule, passes, { ...row, row: 0 });
    if (decision === 'exit') leaving.push(row);
    if (decision === 'ask-head') asking.push(row);
  });
  const read = [...leaving, ...asking];
  if (read.length === 0) return;
  const heads = await runs.heads(await runs.coda(joined(read), maxDepth, piecesOf(read)));
  read.forEach((row, at) => {
    const head = heads[at]!;
    const confidence = Math.exp(head.logits[head.topId]! - head.logSumExp);
    const sure =
      at < leaving.length || decideExit(row.rule, passes, { ...row, confidence, row: 0 }) === 'exit';
    if (sure) row.head = head;
  });
}

/** K and V of rows at the depths that they have not run, as the bundle's kvPolicy says. */
async function leaveBehind(runs: StackRuns, rows: readonly LiveRow[]): Promise<void> {
  const { maxDepth, kvPolicy, shape } = runs.bundle.manifest;
  for (let depth = 1; depth < maxDepth; depth++) {
    const left = rows.filter(({ passes }) => passes <= depth);
    if (left.length === 0) continue;
    if (kvPolicy === 'last-exited') {
      for (const { piece, passes } of left) runs.copy(piece, passes - 1, depth);
    } else if (kvPolicy === 'propagate') {
      await runs.propagate(joined(left), depth, piecesOf(left));
    } else {
      const { state } = await runs.block(joined(left), depth, piecesOf(left));
      left.forEach((row, at) => {
        row.state = rowOf(state, at, shape.hidden);
      });
    }
  }
}

const piecesOf = (rows: readonly LiveRow[]): Piece[] => rows.map(({ piece }) => piece);

const rowOf = (states: Float32Array, row: number, hidden: number): Float32Array =>
  states.slice(row * hidden, (row + 1) * hidden);

/** [rows, hidden], at least one row. */
function joined(rows: readonly LiveRow[]): Float32Array {
  const hidden = rows[0]!.state.length;
  const states = new Float32Array(rows.length * hidden);
  rows.forEach(({ state }, at) => {
    states.set(state, at * hidden);
  });
  return states;
}

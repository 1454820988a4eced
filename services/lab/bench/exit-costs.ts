import type { Bundle } from '@rondo/bundle';
import { kvBytesPerToken } from '@rondo/bundle';
import { createEngine, type KvCopy } from '@rondo/engine';
import { median } from '../load/quantile.ts';
import type { SuiteContext } from './suite.ts';

const CONTEXT = 128;
const REPEATS = 15;

export interface ExitCosts {
  /** One pass of the block over the rows. */
  readonly passMs: number;
  /** What copying their K/V to the next depth adds to a pass. */
  readonly copyMs: number;
  /** Projecting their K/V at the next depth from their last state. */
  readonly propagateMs: number;
}

/** Times what the exit of `rows` rows at once costs beside a pass of as many, medians of interleaved repeats. */
export async function exitCosts(context: SuiteContext, bundle: Bundle, rows: number): Promise<ExitCosts> {
  const { shape, maxDepth, pagePositions } = bundle.manifest;
  const kvBytes = rows * (CONTEXT + pagePositions) * kvBytesPerToken(bundle.manifest);
  const engine = await createEngine(bundle, { threads: context.threads, kvBytes, provider: 'cpu' });
  const pages = CONTEXT / pagePositions;
  const pageOf = (row: number, index: number, depth: number) => 1 + (row * pages + index) * maxDepth + depth;
  const state = () => Float32Array.from({ length: rows * shape.hidden }, (_, at) => Math.sin(at));
  const position = CONTEXT - 1;
  /** Of another position in each repeat: none that a repeat before has left in the processor's caches. */
  const copies = (repeat: number): KvCopy[] =>
    Array.from({ length: rows }, (_, row) => {
      const [index, slot] = [repeat % pages, Math.floor(repeat / pages) % pagePositions];
      return { fromPage: pageOf(row, index, 0), toPage: pageOf(row, index, 1), slot, slots: 1 };
    });
  const timed = async (work: () => Promise<unknown>): Promise<number> => {
    const begin = performance.now();
    await work();
    return performance.now() - begin;
  };
  const pass = (kvCopies: readonly KvCopy[]) =>
    engine.runStack({
      stack: 'block',
      input: state(),
      starts: new Int32Array(rows).fill(position),
      rowCounts: new Int32Array(rows).fill(1),
      depths: new Int32Array(rows),
      pageTable: Int32Array.from({ length: rows * pages }, (_, at) =>
        pageOf(Math.floor(at / pages), at % pages, 0),
      ),
      copies: kvCopies,
    });
  const propagate = () =>
    engine.propagate({
      state: state(),
      positions: new Int32Array(rows).fill(position),
      pages: Int32Array.from({ length: rows }, (_, row) => pageOf(row, pages - 1, 1)),
    });
  const found = { plain: [] as number[], copied: [] as number[], propagated: [] as number[] };
  try {
    for (let repeat = 0; repeat <= REPEATS; repeat++) {
      context.signal.throwIfAborted();
      const times = [
        await timed(() => pass([])),
        await timed(() => pass(copies(repeat))),
        await timed(propagate),
      ] as const;
      if (repeat === 0) continue;
      found.plain.push(times[0]);
      found.copied.push(times[1] - times[0]);
      found.propagated.push(times[2]);
    }
  } finally {
    await engine.close();
  }
  return {
    passMs: median(found.plain),
    copyMs: Math.max(0, median(found.copied)),
    propagateMs: median(found.propagated),
  };
}

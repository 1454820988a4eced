import { type Bundle, kvBytesPerPosition } from '@rondo/bundle';
import { createEngine, type Engine, type Stack } from '@rondo/engine';
import { median } from '../load/quantile.ts';

/** What an engine takes for one row in a full batch of decoding rows, in milliseconds. */
export interface RowCosts {
  /** F0: prelude, coda and head. */
  readonly outsideMs: number;
  /** Fr: one pass of the block. */
  readonly passMs: number;
  /** The part of F0 that rows of a prompt pay too: prelude and coda. */
  readonly stacksMs: number;
}

export interface CostOptions {
  readonly threads: number;
  /** Rows of the batch, each of a sequence of its own. */
  readonly rows: number;
  /** Positions before each row. */
  readonly context: number;
  readonly repeats: number;
}

/** Times each graph of `bundle` by itself on an engine of this process, prelude, pass, coda and head by turns. */
export async function measureCosts(bundle: Bundle, options: CostOptions): Promise<RowCosts> {
  const { layers, maxDepth, pagePositions, shape } = bundle.manifest;
  const { threads, rows, context, repeats } = options;
  const pages = Math.ceil((context + 1) / pagePositions);
  const layerPasses = layers.prelude + maxDepth * layers.block + layers.coda;
  const kvBytes = rows * pages * pagePositions * kvBytesPerPosition(shape, layerPasses);
  const engine = await createEngine(bundle, { threads, kvBytes, provider: 'cpu' });
  try {
    const batch = { rows, context, pages, hidden: shape.hidden };
    const measured = {
      prelude: [] as number[],
      block: [] as number[],
      coda: [] as number[],
      head: [] as number[],
    };
    for (let repeat = 0; repeat <= repeats; repeat++) {
      const times = {
        prelude: await timed(() => runStack(engine, 'prelude', batch)),
        block: await timed(() => runStack(engine, 'block', batch)),
        coda: layers.coda > 0 ? await timed(() => runStack(engine, 'coda', batch)) : 0,
        head: await timed(() => engine.runHead({ state: someStates(batch), wantLogits: false })),
      };
      // The first time round memory is taken and caches are cold.
      if (repeat > 0) for (const part of PARTS) measured[part].push(times[part]);
    }
    const [prelude, block, coda, head] = PARTS.map((part) => median(measured[part]) / rows) as Four;
    return { outsideMs: prelude + coda + head, passMs: block, stacksMs: prelude + coda };
  } finally {
    await engine.close();
  }
}

const PARTS = ['prelude', 'block', 'coda', 'head'] as const;
type Four = [number, number, number, number];

async function timed(work: () => Promise<unknown>): Promise<number> {
  const begin = performance.now();
  await work();
  return performance.now() - begin;
}

interface DecodeBatch {
  readonly rows: number;
  readonly context: number;
  readonly pages: number;
  readonly hidden: number;
}

/** Every sequence reads pages of its own, as when serving; what is in them does not change the time. */
const runStack = (engine: Engine, stack: Stack, batch: DecodeBatch): Promise<unknown> =>
  engine.runStack({
    stack,
    input: stack === 'prelude' ? new Int32Array(batch.rows).fill(1000) : someStates(batch),
    starts: new Int32Array(batch.rows).fill(batch.context),
    rowCounts: new Int32Array(batch.rows).fill(1),
    depths: new Int32Array(batch.rows),
    pageTable: Int32Array.from({ length: batch.rows * batch.pages }, (_, index) => 1 + index),
    copies: [],
  });

const someStates = ({ rows, hidden }: DecodeBatch): Float32Array =>
  Float32Array.from({ length: rows * hidden }, (_, index) => Math.sin(index));

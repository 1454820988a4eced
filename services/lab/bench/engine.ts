import { type Bundle, kvBytesPerToken } from '@rondo/bundle';
import { median } from '../load/quantile.ts';
import { benchBundle } from './bench-bundle.ts';
import { EngineLoop } from './engine-loop.ts';
import { exitCosts } from './exit-costs.ts';
import { atMost, type Goal, type Plot, type Row, type Suite, type SuiteContext } from './suite.ts';

/** Tokens that every sequence generates in one repeat. */
const GENERATED = 16;

/** Repeats that count, behind one that warms up. */
const COUNTED = { quick: 3, full: 5 };

/** The engine by itself: its two ways to attend, the time around it, and the price of an exit. */
export const engine: Suite = {
  name: 'engine',
  summary: 'attention over pages against gathering, time around the engine, the price of an exit',
  async run(context) {
    const { quick } = context;
    const counts = quick ? [16] : [1, 16];
    const counted = quick ? COUNTED.quick : COUNTED.full;
    const cells = counts.flatMap((sequences) => [128, 1024].map((positions) => ({ sequences, positions })));
    const bundle = await benchBundle(context, { precision: 'int8' });
    const rows: Row[] = [];
    const goals: Goal[] = [];
    for (const { sequences, positions } of cells) {
      context.progress(`${sequences} sequences, context ${positions}`);
      const { row, hostShare } = await compare(context, bundle, sequences, positions, counted);
      rows.push(row);
      if (sequences === 16 && positions === 128) {
        goals.push(atMost('time of a step at 16 rows outside the engine, %', 5, 100 * hostShare, ' %'));
      }
    }
    const looped = { precision: 'int8', loopLayers: { first: 1, last: 28 }, loops: 2, damping: 0.5 } as const;
    const costs = await exitCosts(context, await benchBundle(context, looped), 16);
    const share = (ms: number) => `${((100 * ms) / costs.passMs).toFixed(1)} %`;
    return {
      rows,
      goals,
      plots: [PLOT],
      notes: [
        `SmolLM2-135M-Instruct, int8, unlooped; ${GENERATED} tokens of every sequence behind a prompt that fills the context, medians of ${counted} interleaved repeats behind one that warms up. Graph: the same layers as one graph that gathers pages.`,
        `Exits, block of layers 1 to 28: a pass of 16 rows takes ${costs.passMs.toFixed(1)} ms; copying the K/V of all 16 to the next depth (last-exited) ${costs.copyMs.toFixed(2)} ms, ${share(costs.copyMs)} of it; projecting them (propagate) ${costs.propagateMs.toFixed(2)} ms, ${share(costs.propagateMs)}.`,
      ],
    };
  },
};

async function compare(
  context: SuiteContext,
  bundle: Bundle,
  sequences: number,
  positions: number,
  counted: number,
): Promise<{ row: Row; hostShare: number }> {
  const { shape } = bundle.manifest;
  const perPosition = kvBytesPerToken(bundle.manifest);
  const options = { threads: context.threads, kvBytes: sequences * (positions + 16) * perPosition };
  const pages = await EngineLoop.open(bundle, { ...options, attention: 'pages' });
  const graph = await EngineLoop.open(bundle, { ...options, attention: 'graph' });
  const length = positions - GENERATED;
  const prompts = Array.from({ length: sequences }, (_, sequence) =>
    Array.from({ length }, (_, at) => (at * 7 + sequence * 13 + context.seed) % shape.vocab),
  );
  const found = { pages: [] as number[], graph: [] as number[], host: [] as number[] };
  try {
    for (let repeat = 0; repeat <= counted; repeat++) {
      context.signal.throwIfAborted();
      const ours = await pages.decode(prompts, GENERATED);
      const gathered = await graph.decode(prompts, GENERATED);
      // The first repeat warms caches and compilers.
      if (repeat === 0) continue;
      found.pages.push((1000 * sequences * GENERATED) / ours.decodeMs);
      found.graph.push((1000 * sequences * GENERATED) / gathered.decodeMs);
      found.host.push(1 - ours.decodeRunMs / ours.decodeMs);
    }
  } finally {
    await pages.close();
    await graph.close();
  }
  const [ours, gathered] = [median(found.pages), median(found.graph)];
  const hostShare = median(found.host);
  return {
    hostShare,
    row: {
      sequences,
      context: positions,
      'pages tok/s': ours,
      'graph tok/s': gathered,
      'pages to graph': ours / gathered,
      'outside the engine %': 100 * hostShare,
    },
  };
}

const PLOT: Plot = {
  name: 'attention',
  title: 'Decode speed of attention over pages against gathering in the graph, by context',
  spec: {
    mark: { type: 'line', point: true },
    encoding: {
      x: { field: 'context', type: 'quantitative', scale: { type: 'log', base: 2 } },
      y: { field: 'pages to graph', type: 'quantitative', title: 'pages to graph' },
      color: { field: 'sequences', type: 'nominal' },
    },
  },
};

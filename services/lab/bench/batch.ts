import { setTimeout as delay } from 'node:timers/promises';
import { LIMITS, RondoError } from '@rondo/core';
import { openLoop } from '../load/open-loop.ts';
import type { RequestRecord } from '../load/request-record.ts';
import { Scrape } from '../load/scrape.ts';
import { BatchFeed } from './batch-feed.ts';
import { type BatchWindow, batchReport } from './batch-report.ts';
import { batchTurns, batchWorkload, type Turn } from './batch-turns.ts';
import { benchBundle } from './bench-bundle.ts';
import { NatsProcess } from './chaos/nats-process.ts';
import { LOOPED } from './depth-bundle.ts';
import { DepthServer } from './depth-server.ts';
import type { Suite, SuiteContext, SuiteResult } from './suite.ts';

/** About a fifth of what two cores carry. */
const RATE_PER_S = 1;
/** Before anything counts, requests come for so long and so much faster: the first ones pay for what later ones find ready. */
const WARM_UP = { forMs: 5000, ratePerS: 4 * RATE_PER_S };
/** A batch's first lines begin together, with their prompts; after about one line's time they no longer do. */
const SETTLE_MS = 5000;
/** More than any machine answers in a window. */
const LINES = 20_000;

export const batch: Suite = {
  name: 'batch',
  summary:
    'interactive latency without and beside a batch that fills the machine, and what the batch gets done',
  run,
};

/** The three loads in turn, several times, there and back: without the batch, with it alone, with both. */
async function run(context: SuiteContext): Promise<SuiteResult> {
  await using nats = await NatsProcess.start(context.cache);
  if (nats === undefined) {
    throw new RondoError(
      'CONFIG_INVALID',
      'there is no nats-server from 2.11 on: make nats-server builds one',
    );
  }
  const bundle = await benchBundle(context, LOOPED);
  await using server = await DepthServer.apart(context, bundle, 'depth', ['--nats', nats.url]);
  const { quick, seed, signal } = context;
  const [windowMs, repeats] = quick ? [25_000, 2] : [60_000, 5];
  const windows: BatchWindow[] = [];
  const watch = async (turn: Turn): Promise<void> => {
    context.progress(`${turn.load}, ${Math.floor(windows.length / 3) + 1} of ${repeats}`);
    windows.push(await observe(turn));
    signal.throwIfAborted();
  };
  const interactive = (load: 'interactive' | 'both', own: number) => ({
    ...{ client: server.client, workload: batchWorkload(load, own), seed: own, signal },
  });
  const observe = async ({ load, seed: own }: Turn): Promise<BatchWindow> => {
    const [began, before] = [performance.now(), await tokensOf(server)];
    const records: RequestRecord[] =
      load === 'batch'
        ? []
        : await openLoop({ ...interactive(load, own), ratePerS: RATE_PER_S, forMs: windowMs });
    if (load === 'batch') await delay(windowMs, undefined, { signal });
    return {
      load,
      records,
      tokens: (await tokensOf(server)) - before,
      interactiveTokens: records.reduce((sum, { tokenMs }) => sum + tokenMs.length, 0),
      ms: performance.now() - began,
    };
  };
  context.progress('warming up');
  await openLoop({ ...interactive('interactive', seed), ...WARM_UP });
  for (const [repeat, turns] of batchTurns(seed, repeats).entries()) {
    const alone = turns.findIndex(({ load }) => load === 'interactive');
    const fed = turns.toSpliced(alone, 1);
    const without = async () => {
      await server.idle(signal);
      await watch(turns[alone]!);
    };
    if (alone === 0) await without();
    // Lines of the batch before may still run, and would be taken for the next one's.
    await server.idle(signal);
    {
      await using feed = await BatchFeed.start(
        server.url,
        bundle.manifest.name,
        batchWorkload('lines', seed + 7 + repeat),
        LINES,
      );
      await runs(server, LIMITS.batchLinesInFlightMax, signal);
      await delay(SETTLE_MS, undefined, { signal });
      for (const turn of fed) await watch(turn);
      await feed.check();
    }
    if (alone > 0) await without();
  }
  return batchReport({ windows, ratePerS: RATE_PER_S, linesMax: LIMITS.batchLinesInFlightMax });
}

const tokensOf = async ({ url }: DepthServer): Promise<number> =>
  (await Scrape.of(url)).sum('rondo_generated_tokens_total');

/** Resolves when so many lines run. */
async function runs({ url }: DepthServer, lines: number, signal: AbortSignal): Promise<void> {
  while ((await Scrape.of(url)).sum('rondo_batch_lines_running') < lines)
    await delay(50, undefined, { signal });
}

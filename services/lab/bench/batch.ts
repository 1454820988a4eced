import { setTimeout as delay } from 'node:timers/promises';
import { LIMITS, RondoError } from '@rondo/core';
import { openLoop } from '../load/open-loop.ts';
import type { RequestRecord } from '../load/request-record.ts';
import { Scrape } from '../load/scrape.ts';
import { Workload } from '../load/workload.ts';
import { BatchFeed } from './batch-feed.ts';
import { type BatchWindow, batchReport, type Load } from './batch-report.ts';
import { benchBundle } from './bench-bundle.ts';
import { NatsProcess } from './chaos/nats-process.ts';
import { LOOPED } from './depth-bundle.ts';
import { DepthServer } from './depth-server.ts';
import type { Suite, SuiteContext, SuiteResult } from './suite.ts';

const PROMPT_TOKENS = { least: 8, most: 64 };
const OUTPUT_TOKENS = { least: 16, most: 64 };
/** About a fifth of what two cores carry. */
const RATE_PER_S = 1;
/** More than any machine answers in a window. */
const LINES = 20_000;

export const batch: Suite = {
  name: 'batch',
  summary:
    'interactive latency without and beside a batch that fills the machine, and what the batch gets done',
  run,
};

/** The three loads in turn, several times: without the batch, with it alone, with both. */
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
  const workload = (ownSeed: number) =>
    new Workload({
      seed: ownSeed,
      promptTokens: PROMPT_TOKENS,
      outputTokens: OUTPUT_TOKENS,
      ids: { first: 1000, last: 40_000 },
    });
  const windows: BatchWindow[] = [];
  let turn = 0;
  const watch = async (load: Load): Promise<void> => {
    context.progress(`${load}, ${Math.floor(windows.length / 3) + 1} of ${repeats}`);
    windows.push(await observe(load));
    signal.throwIfAborted();
  };
  const observe = async (load: Load): Promise<BatchWindow> => {
    const own = seed + 100 * ++turn;
    const [began, before] = [performance.now(), await tokensOf(server)];
    const interactive = {
      client: server.client,
      workload: workload(own),
      ratePerS: RATE_PER_S,
      seed: own,
      signal,
    };
    const records: RequestRecord[] =
      load === 'batch' ? [] : await openLoop({ ...interactive, forMs: windowMs });
    if (load === 'batch') await delay(windowMs, undefined, { signal });
    return {
      load,
      records,
      tokens: (await tokensOf(server)) - before,
      interactiveTokens: records.reduce((sum, { tokenMs }) => sum + tokenMs.length, 0),
      ms: performance.now() - began,
    };
  };
  for (let repeat = 0; repeat < repeats; repeat++) {
    await server.idle(signal);
    await watch('interactive');
    await using feed = await BatchFeed.start(
      server.url,
      bundle.manifest.name,
      workload(seed + 7 + repeat),
      LINES,
    );
    await runs(server, LIMITS.batchLinesInFlightMax, signal);
    await watch('batch');
    await watch('both');
    await feed.check();
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

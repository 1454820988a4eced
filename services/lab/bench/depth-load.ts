import { setTimeout as delay } from 'node:timers/promises';
import { closedLoop } from '../load/closed-loop.ts';
import { type LoadSummary, summarize, type Window } from '../load/load-summary.ts';
import type { LoadTurn } from '../load/load-turns.ts';
import { openLoop } from '../load/open-loop.ts';
import type { RequestRecord } from '../load/request-record.ts';
import { Scrape } from '../load/scrape.ts';
import { Workload } from '../load/workload.ts';
import { type ExitMix, exitFields } from './depth-exits.ts';
import type { DepthServer } from './depth-server.ts';

export const PROMPT_TOKENS = { least: 1, most: 4 };
export const OUTPUT_TOKENS = { least: 24, most: 96 };
/** Ids of ordinary words in the checkpoint's vocabulary. */
const IDS = { first: 1000, last: 40_000 };

export interface LoadSetting {
  readonly server: DepthServer;
  readonly mix: ExitMix;
  readonly seed: number;
  /** Threshold of the `live` mix. */
  readonly live: number;
  readonly signal: AbortSignal;
}

const workloadOf = ({ seed, mix, live }: LoadSetting): Workload =>
  new Workload({
    seed,
    promptTokens: PROMPT_TOKENS,
    outputTokens: OUTPUT_TOKENS,
    ids: IDS,
    fields: (index) => exitFields(mix, index, seed, live),
  });

/** What one row takes inside the engine, in milliseconds. */
export interface RowCosts {
  readonly headMs: number;
  /** Prelude and coda, which rows of a prompt run too. */
  readonly stacksMs: number;
  /** One pass of the block: Fr. */
  readonly passMs: number;
}

/** How the worker batched in a window, and what its runs took. */
export interface BlockRuns {
  readonly rowsPerRun: number;
  /** Block rows for each row that came to the head. */
  readonly rowsPerToken: number;
  readonly costs: RowCosts;
}

export interface ClosedResult {
  readonly summary: LoadSummary;
  readonly runs: BlockRuns;
}

function blockRuns(before: Scrape, after: Scrape): BlockRuns {
  const grown = (name: string, phase: string) =>
    after.sum(name, `phase="${phase}"`) - before.sum(name, `phase="${phase}"`);
  const rows = (phase: string) => grown('rondo_step_rows_sum', phase);
  const runMs = (phase: string) => 1000 * grown('rondo_step_run_seconds_sum', phase);
  return {
    rowsPerRun: rows('block') / grown('rondo_step_rows_count', 'block'),
    rowsPerToken: rows('block') / rows('head'),
    costs: {
      headMs: runMs('head') / rows('head'),
      stacksMs: (runMs('prelude') + runMs('coda')) / rows('prelude'),
      passMs: runMs('block') / rows('block'),
    },
  };
}

export interface ClosedTimes {
  readonly warmUpMs: number;
  readonly windowMs: number;
}

/** Throughput of `clients` clients in steady state, over a window after a warm-up. */
export async function closedWindow(
  setting: LoadSetting,
  clients: number,
  times: ClosedTimes,
): Promise<ClosedResult> {
  return closed(setting, clients, async (_records, begin, stopped) => {
    await delay(times.warmUpMs, undefined, { signal: stopped });
    await begin();
    const fromMs = performance.now();
    await delay(times.windowMs, undefined, { signal: stopped });
    return { fromMs, toMs: performance.now() };
  });
}

/**
 * The same where requests end in cohorts: until `cohorts` times as many have ended as there are clients, after a warm-up that is broken off.
 * Those of the first cohort that came before the others make room for second ones within the window.
 */
export async function closedCohorts(
  setting: LoadSetting,
  clients: number,
  { warmUpMs, cohorts }: { readonly warmUpMs: number; readonly cohorts: number },
): Promise<ClosedResult> {
  await closedWindow(setting, clients, { warmUpMs: 0, windowMs: warmUpMs });
  return closed(setting, clients, async (records, begin, stopped) => {
    const fromMs = performance.now();
    await begin();
    while (records.length < clients * cohorts) await delay(20, undefined, { signal: stopped });
    return { fromMs, toMs: records[clients * cohorts - 1]!.endedMs };
  });
}

async function closed(
  setting: LoadSetting,
  clients: number,
  watch: (
    records: readonly RequestRecord[],
    begin: () => Promise<void>,
    stopped: AbortSignal,
  ) => Promise<Window>,
): Promise<ClosedResult> {
  const { server } = setting;
  const stop = new AbortController();
  const signal = AbortSignal.any([stop.signal, setting.signal]);
  const seen: RequestRecord[] = [];
  const load = closedLoop({
    client: server.client,
    workload: workloadOf(setting),
    clients,
    signal,
    onRecord: (record) => seen.push(record),
  });
  try {
    let before: Scrape | undefined;
    const begin = async () => {
      before = await Scrape.of(server.url);
    };
    const window = await watch(seen, begin, signal);
    const runs = blockRuns(before!, await Scrape.of(server.url));
    stop.abort();
    return { summary: summarize(await load, window), runs };
  } finally {
    stop.abort();
    await server.idle(setting.signal);
  }
}

/** Requests at Poisson arrivals of `ratePerS` for `forMs`, all of them counted. */
export async function openRate(setting: LoadSetting, ratePerS: number, forMs: number): Promise<LoadTurn> {
  const { server, seed, signal } = setting;
  const fromMs = performance.now();
  const records = await openLoop({
    client: server.client,
    workload: workloadOf(setting),
    ratePerS,
    forMs,
    seed,
    signal,
  });
  signal.throwIfAborted();
  return { records, window: { fromMs, toMs: performance.now() } };
}

/** Rows that a workload runs for each token that it gets, on average. */
export interface RowsPerToken {
  /** Every pass, whatever the exits. */
  readonly prompt: number;
  /** Of the answer: all its tokens but the last, which no row follows. */
  readonly answer: number;
}

export interface WorkloadMeans {
  /** Tokens of an answer. */
  readonly tokens: number;
  readonly rows: RowsPerToken;
}

/** What the requests of `seed` are like on average. */
export function workloadMeans(seed: number): WorkloadMeans {
  const count = 1000;
  const workload = new Workload({ seed, promptTokens: PROMPT_TOKENS, outputTokens: OUTPUT_TOKENS, ids: IDS });
  const requests = Array.from({ length: count }, (_, index) => workload.request(index));
  const tokens = requests.reduce((sum, { maxTokens }) => sum + maxTokens, 0);
  const prompt = requests.reduce((sum, { promptIds }) => sum + promptIds.length, 0);
  return { tokens: tokens / count, rows: { prompt: prompt / tokens, answer: (tokens - count) / tokens } };
}

import { availableParallelism } from 'node:os';
import { setTimeout as delay } from 'node:timers/promises';
import { closedLoop } from '../load/closed-loop.ts';
import type { LoadClient } from '../load/load-client.ts';
import { machineCpuMs } from '../load/process-cpu.ts';
import { histogramQuantile, median } from '../load/quantile.ts';
import { RandomStream } from '../load/random-stream.ts';
import { type RequestRecord, timeToFirstToken } from '../load/request-record.ts';
import { Scrape } from '../load/scrape.ts';
import { tokensWithin } from '../load/tokens-within.ts';
import { Workload, type WorkloadOptions } from '../load/workload.ts';
import { type StagedSetting, type StagedWorker, withClient, withWorkers } from './staged-cluster.ts';
import { type StagedSample, stagedGoals, stagedPlots, stagedRows, UNMEASURED } from './staged-report.ts';
import type { Suite, SuiteContext, SuiteResult } from './suite.ts';
import { timedBundle } from './timed-bundle.ts';

const SHAPE = { name: 'timed-staged', hidden: 2048, maxDepth: 8, context: 32_768 };
const STAGES = [1, 2, 4, 8];
const WORKERS = Math.max(...STAGES);
const PROMPTS = [512, 1024, 2048, 4096, 8192, 16_384];
const PROMPTS_QUICK = [512, 2048, 16_384];
/** What a run costs, and each of its rows: NOTES say of which model on which machine. */
const PASS_MS = 4;
const ROW_MS = 0.25;
const HOP_ROWS = 32;
const HOP_WORKERS = [2, 3, 8];
/** A coda, so that a last stage too sends all rows on: every frame is a whole one. */
const HOP_SHAPE = { ...SHAPE, name: 'timed-staged-hop', codaLayers: 1 } as const;
/** Prompts, and what each sends, until V8 has compiled what is measured: workers run for longer than that. */
const WARMING_HOPS = 100;
const WARMING_ROWS = 2048;
/** Until all clients have had their first answer. */
const FILLING_MS = 9000;
const THROUGHPUT_WORKERS = 4;
/** Clients for each worker: enough that every stage has something to do. */
const DECODING_CLIENTS = 16;
const PROMPT_CLIENTS = 6;
/** Passes of the rows that leave early: five of eight on average. */
const EXITS = [8, 2, 6, 4, 5];

export const staged: Suite = {
  name: 'staged',
  summary: 'routes over 1 to 8 workers that only sleep: time to first token, throughput, idle share, hops',
  run,
};

async function run(context: SuiteContext): Promise<SuiteResult> {
  const directory = await timedBundle(context.cache, SHAPE);
  const samples = await withWorkers(context, directory, WORKERS, [PASS_MS, ROW_MS], (workers) =>
    busy(context, directory, workers),
  );
  // Passes that take no time leave only the hops.
  const hopDirectory = await timedBundle(context.cache, HOP_SHAPE);
  samples.push(
    ...(await withWorkers(context, hopDirectory, WORKERS, [0, 0], (all) => hops(context, hopDirectory, all))),
  );
  const rows = stagedRows(samples);
  return { rows, goals: stagedGoals(rows, samples), plots: stagedPlots, notes: NOTES };
}

async function busy(
  context: SuiteContext,
  directory: string,
  all: readonly StagedWorker[],
): Promise<StagedSample[]> {
  const samples: StagedSample[] = [];
  for (const count of STAGES) {
    const placement = count === 1 ? 'homed' : 'staged';
    const setting: StagedSetting = { directory, model: SHAPE.name, workers: all.slice(0, count), placement };
    await withClient(context, setting, async (client) => {
      await warm(context, client, 1, count === 1 ? HOP_ROWS : WARMING_ROWS);
      for (const promptTokens of context.quick ? PROMPTS_QUICK : PROMPTS) {
        context.progress(`first token of ${promptTokens} tokens, ${count} stages`);
        const before = { nowMs: performance.now(), machineMs: await machineCpuMs() };
        const ms = await firstToken(
          context,
          client,
          promptTokens,
          context.quick && promptTokens > 4096 ? 1 : 3,
        );
        const after = { nowMs: performance.now(), machineMs: await machineCpuMs() };
        const base = { what: 'first token', placement, workers: count, promptTokens } as const;
        samples.push({ ...UNMEASURED, ...base, ms, cpu: cpuShare(before, after) });
      }
    });
  }
  const workers = all.slice(0, THROUGHPUT_WORKERS);
  for (const placement of ['homed', 'staged'] as const) {
    await withClient(context, { directory, model: SHAPE.name, workers, placement }, async (client) => {
      const base = { ...UNMEASURED, placement, workers: workers.length };
      const prompt = { promptTokens: exactly(512), outputTokens: exactly(1) };
      const output = { promptTokens: exactly(16), outputTokens: exactly(32) };
      for (const [what, load, exits] of [
        ['prompts', prompt, undefined],
        ['decoding', output, undefined],
        ['decoding, exits', output, EXITS],
      ] as const) {
        context.progress(`${what}, ${placement}`);
        const seen = await saturated({ context, client, workers }, load, exits);
        samples.push({ ...base, what, promptTokens: load.promptTokens.least, ...seen });
      }
    });
  }
  return samples;
}

const exactly = (count: number) => ({ least: count, most: count });

/** Median over prompts of their own, so that no cached page shortens it. */
async function firstToken(
  context: SuiteContext,
  client: LoadClient,
  promptTokens: number,
  repeats: number,
): Promise<number> {
  const random = new RandomStream(context.seed + promptTokens);
  const times: number[] = [];
  while (times.length < repeats)
    times.push(timeToFirstToken(await prompted(context, client, random, promptTokens)));
  return median(times);
}

/** Opens the links between workers and has V8 compile what they do. */
async function warm(context: SuiteContext, client: LoadClient, count: number, length: number): Promise<void> {
  const random = new RandomStream(context.seed);
  for (let sent = 0; sent < count; sent++) await prompted(context, client, random, length);
}

async function prompted(
  context: SuiteContext,
  client: LoadClient,
  random: RandomStream,
  length: number,
): Promise<RequestRecord> {
  const promptIds = Array.from({ length }, () => random.whole(1000, 40_000));
  const record = await client.send({ promptIds, maxTokens: 1, seed: 1 }, context.signal);
  context.signal.throwIfAborted();
  return record;
}

/** So many clients that every stage always has something to do, seen for a while once all of them are there. */
async function saturated(
  { context, client, workers }: Saturated,
  load: Pick<WorkloadOptions, 'promptTokens' | 'outputTokens'>,
  exits: readonly number[] | undefined,
): Promise<Pick<StagedSample, 'tokensPerS' | 'idle' | 'idleMost' | 'frameKiB' | 'cpu'>> {
  const clients = (load.outputTokens.most > 1 ? DECODING_CLIENTS : PROMPT_CLIENTS) * workers.length;
  const fields = exits && { fields: () => ({ exit_depths: exits }) };
  const ids = { first: 1000, last: 40_000 };
  const workload = new Workload({ ...load, ...fields, seed: context.seed, ids });
  let sent = 0;
  const request = (index: number) => {
    sent++;
    return workload.request(index);
  };
  const stop = new AbortController();
  const signal = AbortSignal.any([stop.signal, context.signal]);
  const records: RequestRecord[] = [];
  const running = closedLoop({
    client,
    workload: { request },
    clients,
    signal,
    onRecord: (record) => records.push(record),
  });
  await delay(FILLING_MS, undefined, { signal });
  const before = await readings(workers);
  await delay(context.quick ? 10_000 : 20_000, undefined, { signal });
  const after = await readings(workers);
  await endOf({ sent, byMs: performance.now(), records, signal });
  stop.abort();
  await running;
  context.signal.throwIfAborted();
  const ms = after.nowMs - before.nowMs;
  const tokens = tokensWithin(records, before.nowMs, after.nowMs);
  const idle = after.workMs.map((worked, index) => 1 - (worked - before.workMs[index]!) / ms);
  return {
    tokensPerS: (1000 * tokens) / ms,
    idle: idle.reduce((sum, share) => sum + share, 0) / idle.length,
    idleMost: Math.max(...idle),
    frameKiB: (after.bytes - before.bytes) / (after.frames - before.frames) / 1024,
    cpu: cpuShare(before, after),
  };
}

/** Waits until the `sent` requests that had been sent by then have ended, under the load of those that follow. */
async function endOf({ sent, byMs, records, signal }: UnderWay): Promise<void> {
  while (records.filter(({ sentMs }) => sentMs <= byMs).length < sent) await delay(50, undefined, { signal });
}

interface UnderWay {
  readonly sent: number;
  readonly byMs: number;
  readonly records: readonly RequestRecord[];
  readonly signal: AbortSignal;
}

interface Saturated {
  readonly context: SuiteContext;
  readonly client: LoadClient;
  readonly workers: readonly StagedWorker[];
}

/** What workers and machine have done so far. The engines' work is that of the runs they had, by what each costs. */
async function readings(workers: readonly StagedWorker[]) {
  const pages = await Promise.all(workers.map(({ metrics }) => Scrape.of(metrics)));
  const total = (name: string) => pages.reduce((sum, page) => sum + page.sum(name), 0);
  return {
    nowMs: performance.now(),
    machineMs: await machineCpuMs(),
    workMs: pages.map(
      (page) =>
        page.sum('rondo_step_rows_count', 'phase="block"') * PASS_MS +
        page.sum('rondo_step_rows_sum', 'phase="block"') * ROW_MS,
    ),
    bytes: total('rondo_hop_bytes_total'),
    frames: total('rondo_hop_rows_count'),
    hops: pages.map((page) => page.buckets('rondo_hop_seconds')),
  };
}

const cpuShare = (before: Readings, after: Readings): number =>
  (after.machineMs - before.machineMs) / (after.nowMs - before.nowMs) / availableParallelism();

type Readings = Pick<Awaited<ReturnType<typeof readings>>, 'nowMs' | 'machineMs'>;

/** Prompts of 32 rows, one after the other, through stages that take no time: each hop is one whole frame. */
async function hops(
  context: SuiteContext,
  directory: string,
  all: readonly StagedWorker[],
): Promise<StagedSample[]> {
  const samples: StagedSample[] = [];
  for (const count of HOP_WORKERS) {
    context.progress(`hops between ${count} workers`);
    const workers = all.slice(0, count);
    const setting: StagedSetting = { directory, model: HOP_SHAPE.name, workers, placement: 'staged' };
    await withClient(context, setting, async (client) => {
      await warm(context, client, WARMING_HOPS, HOP_ROWS);
      const before = await readings(workers);
      await firstToken(context, client, HOP_ROWS, context.quick ? 200 : 1000);
      const after = await readings(workers);
      samples.push({
        ...UNMEASURED,
        what: 'hop',
        placement: 'staged',
        workers: count,
        promptTokens: HOP_ROWS,
        ms: 1000 * histogramQuantile(since(before.hops, after.hops), 0.5),
        frameKiB: (after.bytes - before.bytes) / (after.frames - before.frames) / 1024,
        cpu: cpuShare(before, after),
      });
    });
  }
  return samples;
}

type Buckets = ReadonlyMap<number, number>;

/** What histograms have counted from `before` to `after`. */
const since = (before: readonly Buckets[], after: readonly Buckets[]): Buckets[] =>
  after.map(
    (counts, index) =>
      new Map([...counts].map(([bound, count]) => [bound, count - (before[index]!.get(bound) ?? 0)])),
  );

const NOTES = [
  `The engines are timed: a run of the block takes ${PASS_MS} ms and ${ROW_MS} ms for each of its rows in which nothing is computed, so that eight share this machine, each worker in a process of its own. It is what a block of 1.2 billion parameters (24 layers of 2048) in 8 bits takes where 300 GB and 10 TFLOP are a second's work. The model has ${SHAPE.maxDepth} passes and states of ${SHAPE.hidden} floats, which travel as f16: 32 rows take 128 KiB, one frame. Coordinator, workers and load generator share the processors; where CPU is near 100 % these are what is measured.`,
  'First token: one request at a time, with one token to answer, after one that is not counted. The ideal speed-up of C chunks of 64 rows over n equal stages is n·C / (C + n − 1), the filling of the pipeline included: the last chunk leaves when C + n − 1 of them could have gone through one stage.',
  `Prompts, decoding: ${PROMPT_CLIENTS} and ${DECODING_CLIENTS} clients for each of ${THROUGHPUT_WORKERS} workers, each sending its next request when the last has ended; staged against homed over as many workers. Clients that began together stay in step, so that the tokens of a request count as spread evenly over it. Idle is the part of the time that the runs which an engine had do not account for by their cost, so that it holds hops, batching and timers alike: the mean over the workers, and the most idle one. KiB are those of the states in one frame. With exits, rows leave after ${EXITS.join(', ')} passes in turn; the stages behind only project their K and V.`,
  `Hop: prompts of 32 rows, one at a time, through ${HOP_WORKERS.join(', ')} stages whose runs take no time, after ${WARMING_HOPS} that are not counted; the workers measure one frame in 16, from the outbox of one to the inbox of the next, as the time until the answer that its rows are taken in, less the way back. The median is interpolated in the buckets of \`rondo_hop_seconds\`. The model has a layer behind the loop, so that all rows come home and each frame is whole. The goal is held against two workers, of which each has a processor; with more of them, which each do their share of what is measured, a hop also waits for processors.`,
];

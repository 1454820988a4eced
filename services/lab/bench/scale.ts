import { setTimeout as delay } from 'node:timers/promises';
import type { Bundle } from '@rondo/bundle';
import { LIMITS } from '@rondo/core';
import { closedLoop } from '../load/closed-loop.ts';
import { LoadClient } from '../load/load-client.ts';
import { summarize } from '../load/load-summary.ts';
import { machineCpuMs, ownCpuMs, processCpuMs } from '../load/process-cpu.ts';
import type { RequestRecord } from '../load/request-record.ts';
import { Scrape } from '../load/scrape.ts';
import { Workload } from '../load/workload.ts';
import { benchBundle } from './bench-bundle.ts';
import type { RondoProcess } from './rondo-process.ts';
import { type ScaleSample, scaleGoals, scaleNotes, scalePlots, scaleRows } from './scale-report.ts';
import type { Suite, SuiteContext, SuiteResult } from './suite.ts';

/** Who works for the coordinator: 1 to so many workers alike. */
interface Crowd {
  readonly counts: readonly number[];
  /** Processes that the workers share. */
  readonly processes: number;
  readonly clientsEach: number;
  /** The bundle is not looped: one pass is a token's whole time. */
  readonly passMs: number;
}

/** Many workers of few rows. */
const WIDE = { processes: 8, clientsEach: 4, passMs: 16 };
/** Few workers of many rows: they and their load take less of the machine for a token than the coordinator does, so that its core is full first. */
const DEEP = { processes: 1, clientsEach: 64, passMs: 64 };
const CROWDS: readonly Crowd[] = [
  { counts: [1, 2, 4, 8, 16, 32, 64], ...WIDE },
  { counts: [1, 2, 4, 8, 10, 12, 16, 24], ...DEEP },
];
const CROWDS_QUICK: readonly Crowd[] = [
  { counts: [1, 4, 16, 64], ...WIDE },
  { counts: [1, 8, 12, 16], ...DEEP },
];

export const scale: Suite = {
  name: 'scale',
  summary: 'one coordinator with 1 to 64 workers that only sleep: tokens/s and its processor time per token',
  run,
};

async function run(context: SuiteContext): Promise<SuiteResult> {
  const bundle = await benchBundle(context, { precision: 'int4' });
  const samples: ScaleSample[] = [];
  for (const crowd of context.quick ? CROWDS_QUICK : CROWDS) {
    samples.push(...(await measureCrowd(context, crowd, bundle)));
  }
  const rows = scaleRows(samples);
  return {
    rows,
    goals: scaleGoals(rows),
    plots: scalePlots,
    notes: scaleNotes(WIDE, DEEP),
  };
}

async function measureCrowd(context: SuiteContext, crowd: Crowd, bundle: Bundle): Promise<ScaleSample[]> {
  const { counts, clientsEach } = crowd;
  const samples: ScaleSample[] = [];
  const processes: RondoProcess[] = [];
  try {
    for (let index = 0; index < crowd.processes; index++) {
      context.signal.throwIfAborted();
      processes.push(await startWorkers(context, bundle.directory, crowd));
    }
    for (let repeat = 0; repeat < (context.quick ? 1 : 3); repeat++) {
      for (const workers of counts) {
        context.progress(`${workers} workers of ${clientsEach} clients, repeat ${repeat + 1}`);
        samples.push(
          await measure(context, {
            directory: bundle.directory,
            model: bundle.manifest.name,
            processes,
            workers,
            clientsEach,
          }),
        );
      }
    }
    return samples;
  } finally {
    await Promise.all(processes.map((process) => process.stop()));
  }
}

const startWorkers = (
  context: SuiteContext,
  directory: string,
  { counts, processes, passMs }: Crowd,
): Promise<RondoProcess> =>
  context.launch(
    ...['worker', '--model', directory, '--listen', '127.0.0.1:0', '--engine', 'timed'],
    ...['--timed-workers', String(Math.max(...counts) / processes)],
    ...['--timed-pass-ms', String(passMs), '--timed-row-ms', '0'],
  );

interface Setting {
  readonly directory: string;
  readonly model: string;
  readonly processes: readonly RondoProcess[];
  readonly workers: number;
  readonly clientsEach: number;
}

/** A fresh coordinator over the first workers of every process, as evenly as may be, and its load in steady state. */
async function measure(context: SuiteContext, setting: Setting): Promise<ScaleSample> {
  const { directory, model, processes, workers, clientsEach } = setting;
  const addresses = processes.map(({ ready }) => ready.split(','));
  const chosen = Array.from(
    { length: workers },
    (_, index) => addresses[index % processes.length]![Math.floor(index / processes.length)]!,
  );
  await using coordinator = await context.launch(
    ...['coordinator', '--model', directory, '--listen', '127.0.0.1:0'],
    ...['--max-concurrent-requests', String(LIMITS.requestsInFlightMax)],
    ...chosen.flatMap((address) => ['--worker', address]),
  );
  const client = new LoadClient({ url: coordinator.ready.replace(/\/$/, ''), model });
  const stop = new AbortController();
  const signal = AbortSignal.any([stop.signal, context.signal]);
  const records: RequestRecord[] = [];
  const clients = workers * clientsEach;
  const workload = new Workload({
    seed: context.seed,
    promptTokens: { least: 8, most: 32 },
    outputTokens: { least: 64, most: 256 },
    ids: { first: 1000, last: 40_000 },
  });
  const load = closedLoop({ client, workload, clients, signal, onRecord: (record) => records.push(record) });
  await delay(context.quick ? 2000 : 3000, undefined, { signal });
  const before = await readings(coordinator, processes);
  await delay(context.quick ? 5000 : 8000, undefined, { signal });
  const after = await readings(coordinator, processes);
  stop.abort();
  const all = await load;
  client.close();
  const { tokensPerS, gapMs, failed, refused, tokens } = summarize(all, {
    fromMs: before.nowMs,
    toMs: after.nowMs,
  });
  const seconds = (after.nowMs - before.nowMs) / 1000;
  const opened = after.opened - before.opened;
  const coresOf = (pick: (reading: typeof after) => number) => (pick(after) - pick(before)) / 1000 / seconds;
  return {
    workers,
    clientsEach,
    tokensPerS,
    failed: failed + refused,
    coordinatorUsPerToken: (1000 * (after.coordinatorMs - before.coordinatorMs)) / tokens,
    coordinatorCores: coresOf(({ coordinatorMs }) => coordinatorMs),
    workerCores: coresOf(({ workersMs }) => workersMs),
    loadCores: coresOf(({ loadMs }) => loadMs),
    machineCores: coresOf(({ machineMs }) => machineMs),
    queueMs: opened === 0 ? Number.NaN : (1000 * (after.queueS - before.queueS)) / opened,
    gapP50Ms: gapMs.p50,
    gapP99Ms: gapMs.p99,
  };
}

async function readings(coordinator: RondoProcess, processes: readonly RondoProcess[]) {
  const scrape = await Scrape.of(coordinator.ready.replace(/\/$/, ''));
  const workersMs = await Promise.all(processes.map(({ pid }) => processCpuMs(pid)));
  return {
    nowMs: performance.now(),
    coordinatorMs: await processCpuMs(coordinator.pid),
    workersMs: workersMs.reduce((sum, ms) => sum + ms, 0),
    loadMs: ownCpuMs(),
    machineMs: await machineCpuMs(),
    queueS: scrape.sum('rondo_queue_seconds_sum'),
    opened: scrape.sum('rondo_queue_seconds_count'),
  };
}

import { setTimeout as delay } from 'node:timers/promises';
import { LIMITS } from '@rondo/core';
import { closedLoop } from '../load/closed-loop.ts';
import { openLoop } from '../load/open-loop.ts';
import { residentMiB } from '../load/process-cpu.ts';
import type { RequestRecord } from '../load/request-record.ts';
import { Scrape } from '../load/scrape.ts';
import { Workload } from '../load/workload.ts';
import { benchBundle } from './bench-bundle.ts';
import { LOOPED } from './depth-bundle.ts';
import { DepthServer } from './depth-server.ts';
import { type OverloadFindings, overloadReport, type Pulse } from './overload-report.ts';
import type { Suite, SuiteContext, SuiteResult } from './suite.ts';

const PROMPT_TOKENS = { least: 1, most: 8 };
const OUTPUT_TOKENS = { least: 8, most: 32 };
const OVERLOAD = 4;
const PULSE_MS = 1000;

export const overload: Suite = {
  name: 'overload',
  summary: 'ten minutes at four times the capacity: bounded queue, refusals at once, latency and memory flat',
  run,
};

/** First as many clients as the coordinator has places, then arrivals at four times the rate at which those were served. */
async function run(context: SuiteContext): Promise<SuiteResult> {
  const bundle = await benchBundle(context, LOOPED);
  await using server = await DepthServer.apart(context, bundle, 'depth');
  const workload = new Workload({
    seed: context.seed,
    promptTokens: PROMPT_TOKENS,
    outputTokens: OUTPUT_TOKENS,
    ids: { first: 1000, last: 40_000 },
  });
  context.progress('measuring what it carries');
  const atCapacity = await fullHouse(context, server, workload);
  const ratePerS = (OVERLOAD * atCapacity.length * 1000) / spanOf(atCapacity);
  context.progress(`sending ${ratePerS.toFixed(1)} requests a second`);
  const stop = new AbortController();
  const watching = watch(server, stop.signal);
  const forMs = context.quick ? 90_000 : 600_000;
  const sentMs = performance.now();
  const records = await openLoop({
    ...{ client: server.client, workload, ratePerS, forMs, seed: context.seed, signal: context.signal },
  });
  stop.abort();
  context.signal.throwIfAborted();
  const findings: OverloadFindings = { atCapacity, records, pulses: await watching, ratePerS, sentMs, forMs };
  return overloadReport(findings);
}

/** Requests that ended while every place was taken: the first houseful fills the places and the last empties them. */
async function fullHouse(
  context: SuiteContext,
  server: DepthServer,
  workload: Workload,
): Promise<RequestRecord[]> {
  const clients = LIMITS.requestsInFlight;
  const records = await closedLoop({
    ...{ client: server.client, workload, clients, signal: context.signal },
    requests: (context.quick ? 2 : 4) * clients,
  });
  context.signal.throwIfAborted();
  await server.idle(context.signal);
  return records.slice(clients / 2, records.length - clients);
}

const spanOf = (records: readonly RequestRecord[]): number => records.at(-1)!.endedMs - records[0]!.endedMs;

/** Looks at the server every second until `signal` fires. */
async function watch(server: DepthServer, signal: AbortSignal): Promise<Pulse[]> {
  const pulses: Pulse[] = [];
  while (!signal.aborted) {
    const scrape = await Scrape.of(server.url);
    pulses.push({
      atMs: performance.now(),
      held: scrape.sum('rondo_sequences_running') + scrape.sum('rondo_sequences_waiting'),
      workerMiB: await residentMiB(server.worker.pid),
      coordinatorMiB: await residentMiB(server.coordinator.pid),
    });
    await delay(PULSE_MS, undefined, { signal }).catch(() => undefined);
  }
  return pulses;
}

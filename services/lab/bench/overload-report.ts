import { LIMITS } from '@rondo/core';
import { median, quantile } from '../load/quantile.ts';
import type { RequestRecord } from '../load/request-record.ts';
import { atMost, type Goal, type Plot, type Row, type SuiteResult } from './suite.ts';

/** One look at the server. */
export interface Pulse {
  readonly atMs: number;
  /** Sequences that the coordinator holds, running and waiting. */
  readonly held: number;
  readonly workerMiB: number;
  readonly coordinatorMiB: number;
}

export interface OverloadFindings {
  /** Requests that ended with every place taken and nobody refused. */
  readonly atCapacity: readonly RequestRecord[];
  readonly records: readonly RequestRecord[];
  readonly pulses: readonly Pulse[];
  readonly ratePerS: number;
  /** When the first request was sent, and for how long they came. */
  readonly sentMs: number;
  readonly forMs: number;
}

/** Parts of the run that are told apart, so that what creeps shows. */
const PARTS = 5;
/** What memory may grow by from the second part to the last, in per cent: what garbage collection leaves undecided. */
const GROWTH_MAX = 3;
/** A refusal that took longer has waited for something, in milliseconds. */
const REFUSAL_MS = 100;

export function overloadReport(findings: OverloadFindings): SuiteResult {
  const { records, ratePerS, forMs } = findings;
  const minutes = (forMs / 60_000).toFixed(1);
  return {
    rows: Array.from({ length: PARTS }, (_, part) => row(findings, part)),
    goals: goals(findings),
    plots: [memoryPlot],
    notes: [
      `A full house of ${LIMITS.requestsInFlight} clients was served first, to find what the server carries: whole requests took ${wholeMs(findings.atCapacity, 0.5).toFixed(0)} ms there (p50). Then ${records.length} requests came in ${minutes} minutes at seeded Poisson arrivals, ${ratePerS.toFixed(2)} a second: four times as many. Latency is of requests that were taken, by when they were sent.`,
    ],
  };
}

const wholeMs = (records: readonly RequestRecord[], q: number): number =>
  quantile(
    records.filter(({ outcome }) => outcome === 'ended').map(({ sentMs, endedMs }) => endedMs - sentMs),
    q,
  );

const refusalMs = (records: readonly RequestRecord[], q: number): number =>
  quantile(
    records.filter(({ outcome }) => outcome === 'refused').map(({ sentMs, endedMs }) => endedMs - sentMs),
    q,
  );

/** What happened in one part of the run. */
function inPart({ records, pulses, sentMs, forMs }: OverloadFindings, part: number) {
  const from = sentMs + (part * forMs) / PARTS;
  const within = (ms: number) => ms >= from && ms < from + forMs / PARTS;
  return {
    records: records.filter((record) => within(record.sentMs)),
    pulses: pulses.filter(({ atMs }) => within(atMs)),
  };
}

function row(findings: OverloadFindings, part: number): Row {
  const { records, pulses } = inPart(findings, part);
  const count = (outcome: RequestRecord['outcome']) =>
    records.filter((record) => record.outcome === outcome).length;
  return {
    part: `${part + 1} of ${PARTS}`,
    sent: records.length,
    ended: count('ended'),
    refused: count('refused'),
    failed: count('failed'),
    'held at most': Math.max(...pulses.map(({ held }) => held)),
    'whole p50 ms': wholeMs(records, 0.5),
    'whole p99 ms': wholeMs(records, 0.99),
    'refusal p99 ms': refusalMs(records, 0.99),
    'worker MiB': median(pulses.map(({ workerMiB }) => workerMiB)),
    'coordinator MiB': median(pulses.map(({ coordinatorMiB }) => coordinatorMiB)),
  };
}

function goals(findings: OverloadFindings): Goal[] {
  const { atCapacity, records, pulses } = findings;
  const refused = records.filter(({ outcome }) => outcome === 'refused');
  const rude = refused.filter(({ status, retryAfterS }) => status !== 429 || !(retryAfterS! >= 1)).length;
  const latency = wholeMs(inPart(findings, PARTS - 1).records, 0.5) / wholeMs(atCapacity, 0.5);
  const growth = (pick: (pulse: Pulse) => number) => {
    const [early, late] = [1, PARTS - 1].map((part) => median(inPart(findings, part).pulses.map(pick)));
    return 100 * (late! / early! - 1);
  };
  return [
    atMost('requests held at once', LIMITS.requestsInFlight, Math.max(...pulses.map(({ held }) => held))),
    atMost('requests taken that did not end', 0, records.length - refused.length - ended(records)),
    atMost('refusals without 429 and Retry-After', 0, rude),
    atMost('time to a refusal, p99, ms', REFUSAL_MS, refusalMs(records, 0.99)),
    atMost('time of a whole request in the last part to that at capacity, p50', 1.1, latency),
    atMost(
      'growth of the worker’s memory, %',
      GROWTH_MAX,
      growth(({ workerMiB }) => workerMiB),
    ),
    atMost(
      'growth of the coordinator’s memory, %',
      GROWTH_MAX,
      growth(({ coordinatorMiB }) => coordinatorMiB),
    ),
  ];
}

const ended = (records: readonly RequestRecord[]): number =>
  records.filter(({ outcome }) => outcome === 'ended').length;

const memoryPlot: Plot = {
  name: 'memory',
  title: 'Resident memory of worker and coordinator over the run, in MiB',
  spec: {
    transform: [{ fold: ['worker MiB', 'coordinator MiB'], as: ['process', 'MiB'] }],
    mark: { type: 'line', point: true },
    encoding: {
      x: { field: 'part', type: 'ordinal' },
      y: { field: 'MiB', type: 'quantitative' },
      color: { field: 'process', type: 'nominal' },
    },
  },
};

import { quantile } from '../../load/quantile.ts';
import { atLeast, atMost, type Goal, type Plot, type Row, type SuiteResult } from '../suite.ts';
import type { TakenStep } from './fault-run.ts';
import { FAULTS, type Fault, isFault } from './fault-walk.ts';
import type { Sighting } from './health-watch.ts';
import { longestPause, type Pause, pauses, type Verdict } from './verdict.ts';

export interface ChaosFindings {
  readonly verdicts: readonly Verdict[];
  /** Of one request to each coordinator, sent once nothing was done to the cluster any more. */
  readonly afterwards: readonly Verdict[];
  readonly steps: readonly TakenStep[];
  readonly stuck: readonly string[];
  readonly sightings: readonly Sighting[];
  readonly coordinators: number;
  /** Faults that the run set out to do. */
  readonly faultsGoal: number;
  readonly minutes: number;
  readonly clients: number;
  readonly undecided: number;
  readonly recomputed: number;
  readonly drainMs: readonly number[];
  readonly wrongExits: readonly string[];
  /** Positions still reserved on workers when all was quiet. */
  readonly reserved: number;
  /** Resident memory of each coordinator before and after. */
  readonly memoryMiB: readonly { readonly before: number; readonly after: number }[];
  /** Times without any worker, when a refusal is right. */
  readonly toZero: boolean;
  /** Whether workers announced themselves over NATS. */
  readonly nats: boolean;
  /** Where the evidence lies, if something went wrong. */
  readonly evidence?: string;
}

export function chaosReport(findings: ChaosFindings): SuiteResult {
  const goals = chaosGoals(findings);
  return { rows: chaosRows(findings), goals, plots: [pausePlot], notes: chaosNotes(findings) };
}

/** One row for each kind of fault. */
export function chaosRows({ steps, verdicts, sightings, coordinators }: ChaosFindings): Row[] {
  const all = pauses(verdicts);
  return FAULTS.filter((fault) => steps.some(({ action }) => action === fault)).map((fault) => {
    const taken = steps.filter(({ action }) => action === fault);
    const detected = taken.flatMap((step) => detectionMs(step, steps, sightings, coordinators) ?? []);
    const longest = taken.map(({ atMs }) =>
      all.reduce(
        (most, { fromMs, toMs }) => (fromMs <= atMs && atMs <= toMs ? Math.max(most, toMs - fromMs) : most),
        0,
      ),
    );
    const hit = verdicts.filter(({ sent: { record } }) =>
      taken.some(({ atMs }) => record.sentMs <= atMs && atMs <= record.endedMs),
    ).length;
    return {
      fault,
      times: taken.length,
      'requests under way': hit,
      // Who came back before anybody looked was not seen.
      'seen in ms, p50': detected.length === 0 ? '' : quantile(detected, 0.5),
      'seen in ms, longest': detected.length === 0 ? '' : Math.max(...detected),
      'pause ms, p50': quantile(longest, 0.5),
      'pause ms, longest': Math.max(...longest),
    };
  });
}

/** Faults that a coordinator should see as a worker that does not serve. */
const SEEN: ReadonlySet<Fault> = new Set(['kill', 'stop', 'cut', 'drain']);

/** Until the last coordinator held the worker for away; undefined when it came back before that. */
export function detectionMs(
  step: TakenStep,
  steps: readonly TakenStep[],
  sightings: readonly Sighting[],
  coordinators: number,
): number | undefined {
  const { action, address, atMs } = step;
  if (!isFault(action) || !SEEN.has(action)) return undefined;
  const next =
    steps.find((other) => other.address === address && other.atMs > atMs)?.atMs ?? Number.POSITIVE_INFINITY;
  const times = Array.from({ length: coordinators }, (_, coordinator) => {
    const seen = sightings.find(
      (sighting) =>
        sighting.coordinator === coordinator &&
        sighting.address === address &&
        !sighting.serving &&
        sighting.atMs >= atMs &&
        sighting.atMs < next,
    );
    return (seen?.atMs ?? Number.NaN) - atMs;
  });
  const last = Math.max(...times);
  return Number.isNaN(last) ? undefined : last;
}

const total = (verdicts: readonly Verdict[], pick: (verdict: Verdict) => number): number =>
  verdicts.reduce((sum, verdict) => sum + pick(verdict), 0);

/** Tokens of answers that came to their end, or to that of their client's patience. */
const compared = (verdicts: readonly Verdict[]): number =>
  total(verdicts, ({ sent, tokens }) =>
    sent.record.outcome === 'ended' || sent.record.outcome === 'left' ? tokens : 0,
  );

const count = (verdicts: readonly Verdict[], outcome: string): number =>
  verdicts.filter(({ sent }) => sent.record.outcome === outcome).length;

export function chaosGoals(findings: ChaosFindings): Goal[] {
  const { verdicts, steps, toZero } = findings;
  const faults = steps.filter(({ action }) => isFault(action)).length;
  // Without any worker a request may fail, and is told so: then only what ended well must be whole.
  const owed = toZero ? verdicts.filter(({ sent }) => sent.record.outcome !== 'failed') : verdicts;
  return [
    ...(findings.faultsGoal > 0 ? [atLeast('faults', findings.faultsGoal, faults)] : []),
    // A cluster that answers nothing loses nothing.
    atLeast('tokens compared', 1, compared(verdicts)),
    atLeast(
      'requests behind the last fault that ended well, one to each coordinator',
      findings.coordinators,
      findings.afterwards.filter(({ sent, wrong }) => sent.record.outcome === 'ended' && wrong.length === 0)
        .length,
    ),
    atMost(
      'tokens lost',
      0,
      total(owed, ({ lost }) => lost),
    ),
    atMost(
      'tokens repeated',
      0,
      total(verdicts, ({ repeated }) => repeated),
    ),
    atMost(
      'tokens different',
      0,
      total(verdicts, ({ different }) => different),
    ),
    atMost('requests that hung', 0, count(verdicts, 'hung')),
    ...(toZero
      ? []
      : [
          atMost('requests that failed after they were taken', 0, count(verdicts, 'failed')),
          atMost('requests refused although a worker was left', 0, count(verdicts, 'refused')),
        ]),
    atMost('workers that came back and never served', 0, findings.stuck.length),
    atMost('processes that ended wrongly', 0, findings.wrongExits.length),
    atMost('positions of K and V still reserved at the end', 0, findings.reserved),
  ];
}

function chaosNotes(findings: ChaosFindings): string[] {
  const { verdicts, steps, clients, minutes, undecided, drainMs, memoryMiB, nats } = findings;
  const all = pauses(verdicts);
  const gaps = all.map(({ fromMs, toMs }) => toMs - fromMs);
  const longest = longestPause(all) ?? { fromMs: 0, toMs: 0 };
  const ended = count(verdicts, 'ended');
  const left = count(verdicts, 'left');
  const refused = count(verdicts, 'refused');
  const tokens = total(verdicts, (verdict) => verdict.tokens);
  const others = steps.filter(({ action }) => !isFault(action)).length;
  const ms = (value: number) => `${value.toFixed(0)} ms`;
  return [
    `${clients} clients on ${findings.coordinators} coordinators for ${minutes.toFixed(1)} minutes: ${verdicts.length - refused} requests taken, ${ended} finished, ${left} left by their clients, ${count(verdicts, 'failed')} failed, ${refused} refused; ${tokens} tokens compared with what a quiet worker says to the same requests, ids, text, log probabilities and reasons to finish. ${undecided} requests were left out beforehand, because two candidates lay so close that the quiet worker itself says another thing in company than alone. ${others} steps brought workers back. ${nats ? 'Workers announced themselves over NATS.' : 'There was no NATS server from 2.11 on: the coordinators had a list of workers.'}`,
    `Pauses between two tokens of a stream: p50 ${ms(quantile(gaps, 0.5))}, p99 ${ms(quantile(gaps, 0.99))}, longest ${ms(longest.toMs - longest.fromMs)}${pauseWords(longest, steps)}. ${findings.recomputed} tokens were computed again. ${drainMs.length > 0 ? `A drained worker had left after ${ms(quantile(drainMs, 0.5))} (p50), at most ${ms(Math.max(...drainMs))}. ` : ''}Memory of the coordinators: ${memoryMiB.map(({ before, after }) => `${before.toFixed(0)} to ${after.toFixed(0)} MiB`).join(', ')}.`,
    ...findings.wrongExits.map((wrong) => `Wrong: ${wrong}.`),
    ...findings.stuck.map((name) => `Wrong: ${name} did not serve again.`),
    ...(findings.evidence === undefined
      ? []
      : [`Faults, wrong requests and the logs of all processes are in ${findings.evidence}.`]),
  ];
}

/** What was done shortly before and in a pause. */
function pauseWords({ fromMs, toMs }: Pause, steps: readonly TakenStep[]): string {
  const within = steps.filter(({ atMs }) => atMs >= fromMs - PAUSE_LEAD_MS && atMs <= toMs);
  const words = within.map(
    ({ action, slot, atMs }) =>
      `${action} ${slot} ${atMs < fromMs ? '−' : '+'}${Math.abs(atMs - fromMs).toFixed(0)}`,
  );
  return words.length === 0 ? '' : ` (${words.join(', ')} ms)`;
}

const PAUSE_LEAD_MS = 500;

const pausePlot: Plot = {
  name: 'pauses',
  title: 'Longest pause in any stream at a fault, by kind: the median and the longest, in milliseconds',
  spec: {
    transform: [{ fold: ['pause ms, p50', 'pause ms, longest'], as: ['pause', 'ms'] }],
    mark: { type: 'point', filled: true },
    encoding: {
      x: { field: 'ms', type: 'quantitative', scale: { type: 'log' } },
      y: { field: 'fault', type: 'nominal' },
      color: { field: 'pause', type: 'nominal' },
    },
  },
};

import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { openBundle } from '@rondo/bundle';
import { residentMiB } from '../../load/process-cpu.ts';
import { Scrape } from '../../load/scrape.ts';
import type { Suite, SuiteContext, SuiteResult } from '../suite.ts';
import { chaosBundle } from './chaos-bundle.ts';
import { ChaosCluster } from './chaos-cluster.ts';
import { chaosLoad, lastAnswers, type Sent } from './chaos-load.ts';
import { type ChaosFindings, chaosGoals, chaosReport } from './chaos-report.ts';
import { chaosRequests } from './chaos-requests.ts';
import { keepEvidence } from './evidence.ts';
import { type FaultRun, runFaults } from './fault-run.ts';
import { faultWalk } from './fault-walk.ts';
import { HealthWatch } from './health-watch.ts';
import { NatsProcess } from './nats-process.ts';
import { askOracle, type Oracle } from './oracle.ts';
import { judge } from './verdict.ts';

const WORKERS = 4;
const SPARES = 2;
const COORDINATORS = 2;
const CLIENTS = 24;
/** Nothing came for so long: the request hangs. */
const HUNG_MS = 60_000;
/** Workers that came back serve within so long. */
const RETURN_MS = 60_000;
/** Workers have given back all pages within so long once nothing is asked of them any more. */
const QUIET_MS = 30_000;
/** How often a step comes when the time is given and the number of faults is not. */
const STEP_MS = 600;
/** Steps for each fault, those that bring workers back counted. */
const STEPS_PER_FAULT = 1.6;

export const chaos: Suite = {
  name: 'chaos',
  summary:
    'a seeded walk of faults under load on 4 workers and 2 coordinators: no token lost, repeated or different',
  takesChaos: true,
  run,
};

async function run(context: SuiteContext): Promise<SuiteResult> {
  const { seed, quick, progress, chaos: wishes = {} } = context;
  const minutes = wishes.minutes ?? (quick ? 3 : 15);
  const faults = wishes.faults ?? (quick || wishes.minutes !== undefined ? 0 : 500);
  // Where nobody gave the time, it is the pace; a busy machine may take longer.
  const most = wishes.minutes === undefined && !quick ? 3 * minutes : minutes;
  const least = wishes.toZero === true ? 0 : 1;
  const bundle = wishes.bundle === undefined ? await chaosBundle(context) : await openBundle(wishes.bundle);
  const folder = join(context.cache, 'bench', `chaos-${seed}-logs`);
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder, { recursive: true });
  progress('asking a quiet worker for the undisturbed answers');
  const requests = chaosRequests(bundle.manifest, quick ? 48 : 160, seed);
  const oracle = await askOracle(context, bundle, requests);
  progress(`starting the cluster; logs in ${folder}`);
  await using nats = await NatsProcess.start(context.cache);
  const cluster = await ChaosCluster.start(context, {
    ...{ bundle: bundle.directory, workers: WORKERS, spares: SPARES, coordinators: COORDINATORS, folder },
    ...{ placement: wishes.placement ?? 'homed', nats: nats?.url },
  });
  let disturbed: Disturbed;
  try {
    disturbed = await disturb(context, cluster, oracle, {
      ...{ nats, seed, least, forMs: most * 60_000, faults: faults || Number.POSITIVE_INFINITY },
      everyMs: faults > 0 ? Math.min(STEP_MS, (minutes * 60_000) / (faults * STEPS_PER_FAULT)) : STEP_MS,
    });
  } finally {
    progress('stopping the cluster');
    await cluster[Symbol.asyncDispose]();
  }
  context.signal.throwIfAborted();
  const verdicts = disturbed.sent.map(judge);
  const afterwards = disturbed.last.map(judge);
  const findings: ChaosFindings = {
    ...{ verdicts, afterwards, ...disturbed, clients: CLIENTS, faultsGoal: faults },
    ...{
      coordinators: COORDINATORS,
      undecided: oracle.undecided,
      toZero: least === 0,
      nats: nats !== undefined,
    },
    ...{ drainMs: cluster.drainMs, wrongExits: cluster.wrongExits },
  };
  const wrong = chaosGoals(findings).some(({ name, met }) => name !== 'faults' && !met);
  if (!wrong) {
    await rm(folder, { recursive: true });
    return chaosReport(findings);
  }
  const epochMs = performance.timeOrigin;
  progress(
    await keepEvidence({ seed, ...disturbed, verdicts: [...verdicts, ...afterwards], epochMs }, folder),
  );
  return chaosReport({ ...findings, evidence: folder });
}

interface Disturbance {
  readonly nats: NatsProcess | undefined;
  readonly seed: number;
  readonly least: number;
  readonly forMs: number;
  readonly faults: number;
  readonly everyMs: number;
}

type Disturbed = FaultRun &
  Pick<ChaosFindings, 'minutes' | 'sightings' | 'recomputed' | 'reserved' | 'memoryMiB'> & {
    readonly sent: readonly Sent[];
    /** Sent once nothing was done to the cluster any more. */
    readonly last: readonly Sent[];
  };

/** The load, the faults while it runs, and then the quiet in which all must have come back. */
async function disturb(
  context: SuiteContext,
  cluster: ChaosCluster,
  { known }: Oracle,
  how: Disturbance,
): Promise<Disturbed> {
  const { signal, progress } = context;
  const health = new HealthWatch(cluster.urls);
  const enough = new AbortController();
  const memory = () => Promise.all(cluster.coordinators.map(({ pid }) => residentMiB(pid)));
  const before = await memory();
  const beginMs = performance.now();
  try {
    const load = chaosLoad({
      ...{ urls: cluster.urls, known, clients: CLIENTS, seed: how.seed, hungMs: HUNG_MS },
      enough: AbortSignal.any([enough.signal, signal]),
    });
    const ran = await runFaults({
      ...{ cluster, health, ...how, returnMs: RETURN_MS, signal },
      walk: faultWalk({
        seed: how.seed,
        workers: WORKERS,
        spares: SPARES,
        least: how.least,
        nats: how.nats !== undefined,
      }),
      onStep: ({ action, slot, atMs }, faults) =>
        progress(`${((atMs - beginMs) / 1000).toFixed(1)} s, fault ${faults}: ${action} ${slot}`),
    });
    enough.abort();
    const minutes = (performance.now() - beginMs) / 60_000;
    progress('waiting for the last requests');
    const sent = await load;
    const last = await lastAnswers({ urls: cluster.urls, known, hungMs: HUNG_MS });
    const reserved = await quiet(health, signal);
    const scrapes = await Promise.all(cluster.urls.map((url) => Scrape.of(url)));
    const recomputed = scrapes.reduce((sum, scrape) => sum + scrape.sum('rondo_recomputed_tokens_total'), 0);
    const after = await memory();
    const memoryMiB = before.map((mib, index) => ({ before: mib, after: after[index]! }));
    return { ...ran, minutes, sightings: health.sightings, sent, last, reserved, recomputed, memoryMiB };
  } finally {
    enough.abort();
    await health.stop();
  }
}

/** Waits until no worker holds anything reserved, for a while at most; returns what is still held. */
async function quiet(health: HealthWatch, signal: AbortSignal): Promise<number> {
  const deadline = performance.now() + QUIET_MS;
  for (;;) {
    const reserved = await health.reserved();
    if (reserved === 0 || performance.now() > deadline) return reserved;
    await delay(100, undefined, { signal });
  }
}

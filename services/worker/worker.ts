import { randomUUID } from 'node:crypto';
import { parseTraceparent, YoungBuffers } from '@rondo/chassis';
import { LIMITS, RondoError, systemClock, workerId } from '@rondo/core';
import type { Engine, Stack } from '@rondo/engine';
import { PROTOCOL_REVISION, serveWorker } from '@rondo/wire';
import { isPreludeBrief } from './brief-prelude.ts';
import type { Chunk } from './chunk.ts';
import { learnFromFirstRuns } from './first-runs.ts';
import { FrontDoor } from './front-door.ts';
import { Heartbeat } from './heartbeat.ts';
import { HeldWakes } from './held-wakes.ts';
import { HopTime } from './hop-time.ts';
import { IdleCheck } from './idle-check.ts';
import { Inbox } from './inbox.ts';
import { leavesNext, otherStageWorkers } from './itinerary.ts';
import { KvPools } from './kv-pools.ts';
import { type EngineChoice, openEngine } from './open-engine.ts';
import { Pace } from './pace.ts';
import { PassesSpent } from './passes-spent.ts';
import { PeerLinks } from './peer-links.ts';
import { Propagation } from './propagation.ts';
import { RunCosts } from './run-costs.ts';
import { RunWatchdog } from './run-watchdog.ts';
import type { RunningWorker } from './running-worker.ts';
import { Settlement } from './settlement.ts';
import { StageHost } from './stage-host.ts';
import { StateSlots } from './state-slots.ts';
import { Step } from './step.ts';
import { StepProgress } from './step-progress.ts';
import { StepSpans } from './step-spans.ts';
import type { Tenant } from './tenant.ts';
import { Tenants } from './tenants.ts';
import { WorkDone } from './work-done.ts';
import { loadOf, workerHandlers } from './worker-handlers.ts';
import { WorkerLife } from './worker-life.ts';
import { WorkerMetrics } from './worker-metrics.ts';
import type { WorkerOptions } from './worker-options.ts';

/**
 * Starts an engine for the bundle and serves it.
 * @throws RondoError of `openEngine`, ENGINE_FAILED when it cannot run, or CONFIG_INVALID when the address cannot be listened on.
 */
export async function startWorker(options: WorkerOptions): Promise<RunningWorker> {
  const engine = await openEngine(options.bundle, options, options.log);
  const costs = new RunCosts();
  const serve = async () => {
    await learnFromFirstRuns(engine, options.bundle.manifest.shape.hidden, costs);
    return serveEngine(engine, options, costs);
  };
  return serve().catch(async (error: unknown) => {
    await engine.close();
    throw error;
  });
}

/** The parts of a worker around a running engine, which it owns from now on. `runCosts`: what is known of its runs already. */
export async function serveEngine(
  engine: Engine,
  options: Omit<WorkerOptions, keyof EngineChoice>,
  runCosts = new RunCosts(),
): Promise<RunningWorker> {
  const { bundle, listen, advertise, workerId: name, policy = 'depth', log, metrics } = options;
  const { activations = 'f32' } = options;
  const { manifest, digest: bundleDigest } = bundle;
  const { layers, maxDepth, shape } = manifest;
  const self = workerId(name ?? randomUUID());
  // An engine that has ended poisons nothing, and says so by itself.
  const poison = (stack: Stack, page: number) =>
    void engine.poison(stack, Int32Array.of(page)).catch(() => undefined);
  const pools = new KvPools(engine.description.pools, manifest.pagePositions, {
    prefixCache: options.prefixCache,
    ...(options.poisonFreed && { freed: poison }),
  });
  const tenants = new Tenants(() => {
    meters.manned(tenants.role, performance.now());
    resting();
  });
  const where = { self, maxDepth, codaLayers: layers.coda };
  const inbox = new Inbox((chunk) => leavesNext(where, chunk));
  const life = new WorkerLife();
  const pace = new Pace();
  const passes = new PassesSpent(maxDepth);
  const hop = new HopTime();
  const times = () => ({ stepMs: pace.stepMs, leavingMs: pace.leavingMs, hopMs: hop.hopMs });
  const load = () => loadOf(tenants, pools, layers, maxDepth, times());
  const progress = new StepProgress(systemClock);
  const work = new WorkDone(maxDepth);
  const heartbeat = new Heartbeat(() => {
    const state = life.draining ? 'draining' : 'serving';
    const clockMs = performance.timeOrigin + performance.now();
    return { state, load: load(), progress: progress.now, work: work.now, clockMs };
  });
  const meters = new WorkerMetrics(metrics.labelled({ worker: self }), load, pools);

  const resume = (): void => {
    meters.resumes(performance.now());
    step.wake();
  };
  /** Who comes or goes between two steps is told of by no step. */
  const resting = (): void => {
    if (step.turning) return;
    meters.occupancy();
    idleCheck.due();
  };
  const ready = (chunk: Chunk): void => {
    inbox.put(chunk.tenant.recorder ? { ...chunk, readyMs: performance.now() } : chunk);
    resume();
  };
  const closed = (tenant: Tenant): void => {
    inbox.remove(tenant);
    tenants.remove(tenant);
    if (tenants.count === 0) life.emptied();
    tenant.residency.close();
    // Others may have waited for its end (step policy static).
    if (!inbox.empty) resume();
    resting();
    peers.drop(tenant.sequenceId, tenant.route.epoch);
    stageHost.roomAgain();
    if (tenant.kind === 'stage') return;
    for (const { address } of otherStageWorkers(tenant.route, self)) {
      peers.closeStage(address, tenant.sequenceId, tenant.route.epoch);
    }
  };

  const breakDown = (error: RondoError): void => {
    if (!life.breakDown(error)) return;
    log.fatal({ code: error.code }, `this worker is broken: ${error.message}`);
    tenants.failAll(error);
  };

  void engine.failed?.then(breakDown);
  const watchdog = new RunWatchdog(
    () => ({ progress: progress.now, usualMs: pace.stepMs }),
    breakDown,
    options.hangMs,
  );

  const peers = new PeerLinks(
    { protocolRevision: PROTOCOL_REVISION, bundleDigest, workerId: self, activations },
    {
      sent: (rows, bytes) => meters.sent(rows, bytes),
      roundTrip(ms, what) {
        if (what === 'nothing') hop.word(ms);
        else meters.hopped(hop.rows(ms));
      },
      stageFailed: (sequenceId, epoch, error) => tenants.find(sequenceId, epoch)?.fail(error),
      lost(address, error) {
        log.warn({ address, code: error.code }, error.message);
        tenants.failUsersOf(address, self, error);
      },
    },
    options.tls,
  );
  const idleCheck = new IdleCheck(
    () => tenants.count === 0 && !step.turning,
    () => {
      try {
        pools.checkIdle();
        meters.checkedIdle();
      } catch (thrown) {
        breakDown(RondoError.from(thrown));
      }
    },
  );
  const propagation = new Propagation();
  const wakes = new HeldWakes();
  const youngBuffers = new YoungBuffers();
  const { hidden } = shape;
  const settlement = new Settlement(
    { where, hidden, kvPolicy: manifest.kvPolicy, propagation },
    {
      ready,
      put: (to, chunks) => peers.put(to, chunks),
      wake: () => step.wake(),
    },
  );
  const { stateSlots } = engine.description;
  const step = new Step(
    {
      // What propagates is projected from states that are here.
      ...(stateSlots &&
        manifest.kvPolicy !== 'propagate' && { stateSlots: new StateSlots(stateSlots, inbox, where) }),
      costs: () => runCosts.block,
      passes,
      engine,
      hidden,
      where,
      policy,
      briefPrelude: isPreludeBrief(layers),
      inbox,
      tenants,
      propagation,
      settlement,
      times,
      spans: options.telemetry?.exports ? new StepSpans(options.telemetry) : undefined,
    },
    {
      began: () => progress.began(),
      ended() {
        progress.ended();
        wakes.hold();
      },
      flush: () => peers.flush(),
      told: () => wakes.release(),
      ran(report) {
        pace.ran(report);
        runCosts.ran(report);
        meters.ran(report);
        work.ran(report);
        stageHost.roomAgain();
        youngBuffers.check();
      },
      propagated: (ms) => meters.propagated(ms),
      failed(phase, chunks, error) {
        meters.failed(phase);
        log.error({ phase, chunks, code: error.code, err: error }, error.message);
      },
      broken: breakDown,
      idle() {
        meters.occupancy();
        meters.idles(tenants.role, performance.now());
        idleCheck.due();
      },
    },
  );

  const frontDoor = new FrontDoor({
    self,
    bundleDigest,
    manifest,
    tenants,
    pools,
    peers,
    ready,
    spent: (count) => passes.spent(count),
    wake: (reader) => wakes.wake(reader),
    closed,
    prefixSought: (positions, found) => meters.prefixSought(positions, found),
  });
  const stageHost = new StageHost({
    self,
    bundleDigest,
    activations,
    context: shape.context,
    tenants,
    pools,
    draining: () => life.draining,
    room: () => inbox.rows < LIMITS.inboxRows,
    arrive: (tenant, chunk) => settlement.arrive(tenant, chunk),
    closed,
    refused: (error) => meters.refused(error),
    stale: () => meters.staleChunk(),
  });
  const about = {
    workerId: self,
    protocolRevision: PROTOCOL_REVISION,
    bundleDigest,
    bundleName: manifest.name,
    provider: engine.description.provider,
    advertisedAddress: advertise,
  };
  let crowded = false;
  const server = await serveWorker(
    listen,
    workerHandlers({
      about,
      load,
      heartbeat,
      frontDoor,
      stageHost,
      broken: () => life.failure,
      draining: () => life.draining,
      sequenceFailed({ sequenceId, traceparent }, error) {
        const { code, message } = error;
        meters.refused(error);
        log.warn({ sequenceId, traceId: parseTraceparent(traceparent)?.traceId, code }, message);
      },
    }),
    {
      tls: options.tls,
      refused: () => {
        meters.connectionRefused();
        if (!crowded)
          log.warn(
            { connections: LIMITS.grpcConnectionsMax },
            'too many connections: those beyond are closed',
          );
        crowded = true;
      },
    },
  );
  log.info({ address: server.address, workerId: self, bundle: manifest.name }, 'worker listens');

  return {
    address: server.address,
    workerId: self,
    describe: () => ({ ...about, load: load() }),
    broken: life.broken,
    get inRun() {
      return progress.now.runningMs > 0;
    },
    async stop() {
      life.drain();
      heartbeat.changed();
      if (tenants.count > 0 && !life.failure) await life.untilEmpty(options.drainMs ?? LIMITS.drainMs);
      await server.close();
      peers.close();
      // A run that hangs never ends, nor does the engine.
      if (life.failure?.code === 'WORKER_STUCK') return;
      await step.quiet();
      watchdog.end();
      idleCheck.end();
      await engine.close();
    },
  };
}

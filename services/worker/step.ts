import { randomInt } from 'node:crypto';
import { setImmediate } from 'node:timers/promises';
import { LIMITS, RondoError, type WorkerId } from '@rondo/core';
import type { Engine, HeadRequest } from '@rondo/engine';
import { headBatch, headRequest, inDepthOrder, rowsOf, stackBatch } from './batch.ts';
import { type Chunk, depthOf, type Phase } from './chunk.ts';
import type { Front, Inbox } from './inbox.ts';
import type { Whereabouts } from './itinerary.ts';
import type { Pace } from './pace.ts';
import type { PassesSpent } from './passes-spent.ts';
import type { Propagation } from './propagation.ts';
import type { BlockCosts } from './run-costs.ts';
import { type EndedRun, recordRun } from './run-recorder.ts';
import type { Settlement } from './settlement.ts';
import type { StateSlots } from './state-slots.ts';
import { backgroundWaitedBehind, decide, leavingShareOf, type StepPolicy } from './step-policy.ts';
import type { StepSpans } from './step-spans.ts';
import type { Tenant } from './tenant.ts';
import type { RunTimes, Tenants } from './tenants.ts';
import { wantedRows } from './wanted-rows.ts';

/** Runs of the engine that may fail one after the other before the worker counts as broken. */
const FAILURES_MAX = 3;

export interface StepReport {
  readonly phase: Phase;
  readonly chunks: readonly Chunk[];
  readonly rows: number;
  /** Inside the engine, of `stepMs` from building the batch to settling its last row. */
  readonly runMs: number;
  readonly stepMs: number;
  /** Of rows through a stack: whose state came back from the engine. The others' stays on its device. */
  readonly statesBack?: number | undefined;
}

interface Hooks {
  /** The engine begins to run, and has ended, well or not. */
  began(): void;
  ended(): void;
  /** There is time for whoever reads events: a run is under way that takes a while, or none is ready. */
  told(): void;
  /** Rows that left the last run may be sent: the next one is under way, or none is ready. */
  flush(): void;
  ran(report: StepReport): void;
  /** The engine has projected K and V of rows that left, in so many milliseconds. */
  propagated(ms: number): void;
  failed(phase: Phase, chunks: number, error: RondoError): void;
  /** The engine cannot be trusted any more. */
  broken(error: RondoError): void;
  /** Nothing may run. */
  idle(): void;
}

export interface StepOptions {
  readonly where: Whereabouts & { readonly self: WorkerId };
  readonly engine: Engine;
  readonly hidden: number;
  readonly policy: StepPolicy;
  /** A prelude takes little of what a run of the block takes: who reads events is told behind it. */
  readonly briefPrelude: boolean;
  readonly inbox: Inbox;
  /** Where states lie on the engine's device; absent where they come and go with every run. */
  readonly stateSlots?: StateSlots | undefined;
  readonly tenants: Tenants;
  readonly times: () => RunTimes & Pick<Pace, 'leavingMs'>;
  /** What runs of the block take here; undefined while unknown. */
  readonly costs: () => BlockCosts | undefined;
  /** How many passes tokens take here. */
  readonly passes: PassesSpent;
  readonly propagation: Propagation;
  readonly settlement: Settlement;
  /** Where steps with rows of sampled requests are traced; absent: nowhere. */
  readonly spans?: StepSpans | undefined;
}

const STEP_LIMITS = {
  rowsMax: LIMITS.stepRowsMax,
  prefillRows: LIMITS.prefillBudgetRows,
  backgroundRows: LIMITS.backgroundRows,
  backgroundWaitRuns: LIMITS.backgroundWaitRuns,
};

/** The heart of a worker: take ready chunks, decide which run together, run them, settle every row. */
export class Step {
  readonly #options: StepOptions;
  readonly #hooks: Hooks;
  /** With the static policy: the sequences that run; nobody joins before all of them have ended. */
  #cohort: readonly Tenant[] = [];
  readonly #failures = { run: 0, propagation: 0 };
  /** Rises by one with each run, modulo 2^32. It begins anywhere: a worker that comes back under its name counts anew. */
  #number = randomInt(2 ** 32);
  /** Runs in a row that left out ready chunks of the background. */
  #backgroundWaited = 0;
  #turning: Promise<void> | undefined;
  /** The run before was a prelude: there may be many, and no reader waits for all of them. */
  #behindPrelude = false;
  /** Something has become ready since a turn looked. */
  #woken = false;
  /** Runs that have ended and of which nobody was told yet. */
  readonly #untold: StepReport[] = [];

  constructor(options: StepOptions, hooks: Hooks) {
    this.#options = options;
    this.#hooks = hooks;
  }

  /** Something may be ready: turns until nothing is. */
  wake(): void {
    this.#woken = true;
    this.#turning ??= this.#turnWhileReady().finally(() => {
      this.#turning = undefined;
      this.#hooks.flush();
      this.#tell();
      // What still waits waits for others to end (step policy static), and whoever ends wakes.
      if (this.#woken) this.wake();
      else this.#hooks.idle();
    });
  }

  /** Whether runs are under way or about to be: pages of a sequence that has left may be held by one. */
  get turning(): boolean {
    return this.#turning !== undefined;
  }

  /** Resolves when no run is under way. */
  async quiet(): Promise<void> {
    while (this.#turning) await this.#turning;
  }

  async #turnWhileReady(): Promise<void> {
    let ran: Phase | undefined;
    do {
      // What has arrived meanwhile joins this step, and the main thread serves its streams between two of them: once between one run of
      // the block and the next, whatever runs there.
      if (ran === undefined || ran === 'block') await setImmediate();
      ran = await this.#turn();
    } while (ran);
  }

  /** The phase that ran; undefined when nothing is ready. */
  async #turn(): Promise<Phase | undefined> {
    // Before chunks are taken: whoever leaves while this waits must not be among them.
    await this.#propagate();
    const { inbox, tenants, where, policy } = this.#options;
    const exitPhase = where.codaLayers > 0 ? 'coda' : 'head';
    this.#woken = false;
    const ready = this.#admitted(inbox.fronts());
    const times = this.#options.times();
    const decodingShare = tenants.decodingShare(times);
    const { decoding, hurried, homed } = tenants;
    const leavingShare = leavingShareOf(homed, times);
    const backgroundWaited = this.#backgroundWaited;
    const costs = homed ? this.#options.costs() : undefined;
    const { expected: expectedPasses } = this.#options.passes;
    const asked = { ready, exitPhase, decoding, hurried, decodingShare, leavingShare } as const;
    const view = { ...asked, backgroundWaited, costs, expectedPasses };
    const decision = decide(view, STEP_LIMITS, policy);
    if (!decision) return undefined;
    this.#backgroundWaited = backgroundWaitedBehind(ready, decision, backgroundWaited);
    const taken = decision.chunks.map((front) => front.chunk);
    inbox.take(taken);
    // Who breaks the order has no pages any more, not for its chunks at other depths either.
    const chunks = inDepthOrder(taken.filter(isInOrder).filter(({ tenant }) => tenant.open));
    const leaving = new Set(decision.chunks.filter(({ leaves }) => leaves).map(({ chunk }) => chunk));
    const head = decision.withHead ? headRequest(chunks, (chunk) => leaving.has(chunk)) : undefined;
    if (chunks.length > 0) await this.#step(decision.phase, chunks, head);
    return decision.phase;
  }

  #admitted(fronts: Front[]): Front[] {
    if (this.#options.policy !== 'static') return fronts;
    if (!this.#cohort.some((tenant) => tenant.open)) {
      this.#cohort = [...new Set(fronts.map(({ chunk }) => chunk.tenant))].filter(
        (tenant) => tenant.kind === 'home',
      );
    }
    // Rows of sequences that live elsewhere are in their home's cohort.
    return fronts.filter(({ chunk: { tenant } }) => tenant.kind === 'stage' || this.#cohort.includes(tenant));
  }

  async #step(phase: Phase, chunks: readonly Chunk[], head?: HeadRequest): Promise<void> {
    await whileHeld(chunks.map(tenantOf), async () => {
      try {
        const begin = performance.now();
        const { runMs, headMs, statesBack } = await this.#run(phase, chunks, begin, head);
        this.#failures.run = 0;
        const stepMs = performance.now() - begin - headMs;
        this.#untold.push({ phase, chunks, rows: rowsOf(chunks), runMs, stepMs, statesBack });
        const headRun = { phase: 'head', chunks: [], runMs: headMs, stepMs: headMs } as const;
        if (head) this.#untold.push({ ...headRun, rows: head.rows.length });
        if (this.#options.inbox.empty) this.#hooks.flush();
      } catch (thrown) {
        this.#fail('run', phase, chunks.map(tenantOf), thrown);
      }
    });
  }

  /** Milliseconds inside the engine, and of the head where it ran behind a stack. */
  async #run(
    phase: Phase,
    chunks: readonly Chunk[],
    beganMs: number,
    head?: HeadRequest,
  ): Promise<{ runMs: number; headMs: number; statesBack?: number }> {
    const { where, engine, hidden, settlement } = this.#options;
    this.#number = (this.#number + 1) >>> 0;
    const ran = { worker: where.self, step: this.#number, phase, chunks, beganMs };
    if (phase === 'head') {
      const batch = headBatch(chunks, hidden);
      const result = await this.#timed(() => engine.runHead(batch));
      this.#ran({ ...ran, endedMs: performance.now() });
      settlement.head(chunks, result);
      return { runMs: result.runMs, headMs: 0 };
    }
    const places = this.#options.stateSlots?.places(phase, chunks);
    const wanted = wantedRows(phase, chunks, where);
    const batch = stackBatch(phase, chunks, hidden, { head, wanted, places });
    const brief = phase === 'prelude' && this.#options.briefPrelude && !this.#behindPrelude;
    this.#behindPrelude = phase === 'prelude';
    const result = await this.#timed(() => engine.runStack(batch), brief);
    // Before rows are settled: what a token tells of must be written down by then.
    const heads = head && { head: { ...head, runMs: result.head!.runMs } };
    this.#ran({ ...ran, endedMs: performance.now(), ...heads });
    settlement.stack(phase, chunks, result, { head, kept: places?.to });
    const statesBack = result.state.length / hidden;
    return { runMs: result.runMs, headMs: result.head?.runMs ?? 0, statesBack };
  }

  #ran(run: EndedRun): void {
    recordRun(run);
    this.#options.spans?.ran(run);
  }

  /** `brief`: over before all could be told of the run before. */
  async #timed<Result>(run: () => Promise<Result>, brief = false): Promise<Result> {
    this.#hooks.began();
    try {
      const running = run();
      // Sending and telling take time, which the engine need not wait for.
      this.#hooks.flush();
      if (!brief) this.#tell();
      return await running;
    } finally {
      this.#hooks.ended();
    }
  }

  #tell(): void {
    this.#hooks.told();
    for (const report of this.#untold.splice(0)) this.#hooks.ran(report);
  }

  /** What exited rows leave behind must be there before a deeper pass reads it. */
  async #propagate(): Promise<void> {
    const { engine, hidden, propagation } = this.#options;
    for (let due = propagation.take(hidden); due; due = propagation.take(hidden)) {
      const { tenants, batch } = due;
      await whileHeld(tenants, async () => {
        try {
          const begin = performance.now();
          await this.#timed(() => engine.propagate(batch));
          this.#hooks.propagated(performance.now() - begin);
          this.#failures.propagation = 0;
        } catch (thrown) {
          this.#fail('propagation', 'block', tenants, thrown);
        }
      });
    }
  }

  #fail(what: 'run' | 'propagation', phase: Phase, tenants: readonly Tenant[], thrown: unknown): void {
    const error = RondoError.from(thrown, 'ENGINE_FAILED');
    this.#hooks.failed(phase, tenants.length, error);
    for (const tenant of tenants) tenant.fail(error);
    if (++this.#failures[what] === FAILURES_MAX) this.#hooks.broken(error);
  }
}

const tenantOf = ({ tenant }: Chunk): Tenant => tenant;

/** Runs `work` while the pages of `tenants` stay, even if one of them ends meanwhile: the engine writes there. */
async function whileHeld(tenants: readonly Tenant[], work: () => Promise<void>): Promise<void> {
  for (const { residency } of tenants) residency.enterStep();
  try {
    await work();
  } finally {
    for (const { residency } of tenants) residency.leaveStep();
  }
}

/** A chunk may run only when K and V of all positions before it are written; whatever broke that rule is not served. */
function isInOrder(chunk: Chunk): boolean {
  const { tenant, phase, start } = chunk;
  if (phase === 'head') return true;
  const written = tenant.residency.written(phase, depthOf(chunk));
  if (written === start) return true;
  const where = `sequence ${tenant.sequenceId}, ${phase} at depth ${depthOf(chunk)}`;
  const found = `position ${start} came while ${written} positions were written`;
  tenant.fail(new RondoError('INTERNAL', `${where}: ${found}`));
  return false;
}

import { setImmediate } from 'node:timers/promises';
import { LIMITS, RondoError } from '@rondo/core';
import type { Engine } from '@rondo/engine';
import { headBatch, stackBatch } from './batch.ts';
import { type Chunk, depthOf, type Phase } from './chunk.ts';
import type { Inbox } from './inbox.ts';
import type { Settlement } from './settle.ts';
import { decide, type Lane } from './step-policy.ts';

/** Runs of the engine that may fail one after the other before the worker counts as broken. */
const FAILURES_MAX = 3;

export interface StepReport {
  readonly phase: Phase;
  readonly chunks: number;
  readonly rows: number;
  readonly runMs: number;
}

interface Ways {
  ran(report: StepReport): void;
  failed(phase: Phase, chunks: number, error: RondoError): void;
  /** The engine cannot be trusted any more. */
  broken(error: RondoError): void;
  /** Nothing is ready. */
  idle(): void;
}

/** The heart of a worker: take ready chunks, decide which run together, run them, settle every row. */
export class Step {
  readonly #engine: Engine;
  readonly #hidden: number;
  readonly #inbox: Inbox;
  readonly #settlement: Settlement;
  readonly #ways: Ways;
  #lane: Lane = 'decode';
  #failures = 0;
  #turning: Promise<void> | undefined;

  constructor(engine: Engine, hidden: number, inbox: Inbox, settlement: Settlement, ways: Ways) {
    this.#engine = engine;
    this.#hidden = hidden;
    this.#inbox = inbox;
    this.#settlement = settlement;
    this.#ways = ways;
  }

  /** Something is ready: turns until nothing is. */
  wake(): void {
    this.#turning ??= this.#turnWhileReady().finally(() => {
      this.#turning = undefined;
      if (this.#inbox.empty) this.#ways.idle();
      else this.wake();
    });
  }

  /** Resolves when no run is under way. */
  async quiet(): Promise<void> {
    while (this.#turning) await this.#turning;
  }

  async #turnWhileReady(): Promise<void> {
    do {
      // What has arrived meanwhile joins this step, and the main thread serves its streams between two of them.
      await setImmediate();
    } while (await this.#turn());
  }

  async #turn(): Promise<boolean> {
    const decision = decide(this.#inbox.fronts(), this.#lane, LIMITS.stepRowsMax);
    if (!decision) return false;
    this.#lane = decision.lane;
    this.#inbox.take(decision.chunks);
    const chunks = decision.chunks.filter(isInOrder);
    if (chunks.length === 0) return true;
    for (const { tenant } of chunks) tenant.residency.enterStep();
    try {
      const runMs = await this.#run(decision.phase, chunks);
      this.#failures = 0;
      this.#ways.ran({ phase: decision.phase, chunks: chunks.length, rows: rowsOf(chunks), runMs });
    } catch (thrown) {
      this.#fail(decision.phase, chunks, thrown);
    } finally {
      for (const { tenant } of chunks) tenant.residency.leaveStep();
    }
    return true;
  }

  async #run(phase: Phase, chunks: readonly Chunk[]): Promise<number> {
    if (phase === 'head') {
      const result = await this.#engine.runHead(headBatch(chunks, this.#hidden));
      this.#settlement.head(chunks, result);
      return result.runMs;
    }
    const result = await this.#engine.runStack(stackBatch(phase, chunks, this.#hidden));
    this.#settlement.stack(phase, chunks, result);
    return result.runMs;
  }

  #fail(phase: Phase, chunks: readonly Chunk[], thrown: unknown): void {
    const error =
      thrown instanceof RondoError
        ? thrown
        : new RondoError('ENGINE_FAILED', String(thrown), { cause: thrown });
    this.#ways.failed(phase, chunks.length, error);
    for (const { tenant } of chunks) tenant.fail(error);
    if (++this.#failures === FAILURES_MAX) this.#ways.broken(error);
  }
}

const rowsOf = (chunks: readonly Chunk[]): number => chunks.reduce((rows, chunk) => rows + chunk.rows, 0);

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

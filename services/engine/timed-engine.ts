import { setTimeout as delay } from 'node:timers/promises';
import type { Manifest } from '@rondo/bundle';
import { type Clock, RondoError, systemClock } from '@rondo/core';
import type {
  Engine,
  EngineDescription,
  HeadBatch,
  HeadResult,
  PropagateBatch,
  Stack,
  StackBatch,
  StackResult,
} from './engine.ts';
import { poolSizes } from './pool-sizes.ts';

/** How long an engine takes, in milliseconds, for a run of so many rows. */
export interface CostModel {
  stackMs(stack: Stack, rows: number): number;
  headMs(rows: number): number;
}

export interface LinearCosts {
  /** What a pass takes whatever is in it. */
  readonly passMs: number;
  /** What each row adds to it. */
  readonly rowMs: number;
}

/** A pass of n rows costs `passMs` + n·`rowMs`; prelude, coda and head, of which a token needs one each, are free. */
export const linearCosts = ({ passMs, rowMs }: LinearCosts): CostModel => ({
  stackMs: (stack, rows) => (stack === 'block' ? passMs + rowMs * rows : 0),
  headMs: () => 0,
});

export interface TimedEngineOptions {
  readonly costs: CostModel;
  /** Bytes of K and V that a real engine would hold; only its pages are counted here, none is allocated. */
  readonly kvBytes: number;
  readonly clock?: Clock;
  /** Resolves after about `ms` milliseconds without using the processor; timers round to whole milliseconds. */
  readonly sleep?: (ms: number) => Promise<unknown>;
}

/** Logit of whatever the head does not choose: its probability is zero in double precision. */
const UNLIKELY = -1e4;

/**
 * An engine that computes nothing and takes its time: many of them share one machine, so that what is left to measure
 * is everything around the engine. States are zero; the head always chooses the same token, which ends nothing.
 * Says `timed` as its provider.
 */
export class TimedEngine implements Engine {
  readonly description: EngineDescription;
  readonly #manifest: Manifest;
  readonly #costs: CostModel;
  readonly #clock: Clock;
  readonly #sleep: (ms: number) => Promise<unknown>;
  /** [C] ids from the middle of the vocabulary, where control tokens are rare. */
  readonly #candidates: Int32Array;
  /** Milliseconds that earlier runs took too long (negative: too short) because timers are coarse. */
  #late = 0;
  #zeros = new Float32Array(0);
  #last: Promise<unknown> = Promise.resolve();
  #lastEndedMs = Number.NEGATIVE_INFINITY;
  #closed = false;

  /** @throws RondoError CONFIG_INVALID for a KV budget below one page. */
  constructor(manifest: Manifest, options: TimedEngineOptions) {
    const { clock = systemClock, sleep = delay } = options;
    this.description = { provider: 'timed', pools: poolSizes(manifest, options.kvBytes) };
    this.#manifest = manifest;
    this.#costs = options.costs;
    this.#clock = clock;
    this.#sleep = sleep;
    this.#candidates = candidateIds(manifest);
  }

  /** Zero states after `costs.stackMs`; a latent difference of 1 where the block graph would tell one: nothing converges. */
  async runStack(batch: StackBatch): Promise<StackResult> {
    const { hidden } = this.#manifest.shape;
    const rows = batch.stack === 'prelude' ? batch.input.length : batch.input.length / hidden;
    const runMs = await this.#take(this.#costs.stackMs(batch.stack, rows));
    const { signals } = this.#manifest.exit;
    const inBlock = batch.stack === 'block';
    const head = batch.head && {
      state: this.#zeroStates(batch.head.rows.length * hidden),
      wantLogits: batch.head.wantLogits,
    };
    return {
      state: this.#zeroStates(rows * hidden),
      ...(inBlock && signals.includes('gate') && { gate: new Float32Array(rows) }),
      ...(inBlock && signals.includes('latent-diff') && { latentDiff: new Float32Array(rows).fill(1) }),
      runMs,
      ...(head && { head: await this.runHead(head) }),
    };
  }

  /** The same candidates for every row, the first of them certain. */
  async runHead({ state, wantLogits }: HeadBatch): Promise<HeadResult> {
    const { hidden, vocab } = this.#manifest.shape;
    const rows = state.length / hidden;
    const runMs = await this.#take(this.#costs.headMs(rows));
    const count = this.#candidates.length;
    const topIds = new Int32Array(rows * count);
    const topLogits = new Float32Array(rows * count).fill(UNLIKELY);
    const logits = wantLogits ? new Float32Array(rows * vocab).fill(UNLIKELY) : undefined;
    for (let row = 0; row < rows; row++) {
      topIds.set(this.#candidates, row * count);
      topLogits[row * count] = 0;
      if (logits) logits[row * vocab + this.#candidates[0]!] = 0;
    }
    return { topIds, topLogits, logSumExp: new Float32Array(rows), ...(logits && { logits }), runMs };
  }

  /** K/V of rows that left are as free as what is outside the block. */
  propagate(_batch: PropagateBatch): Promise<number> {
    return this.#take(0);
  }

  /** There is no K/V to overwrite. */
  async poison(): Promise<void> {}

  async close(): Promise<void> {
    this.#closed = true;
    await this.#last;
  }

  /** Zeros that all results share: fresh ones would keep the garbage collector busy, which is not what is measured. */
  #zeroStates(length: number): Float32Array {
    if (this.#zeros.length < length) this.#zeros = new Float32Array(2 * length);
    return this.#zeros.subarray(0, length);
  }

  /**
   * Takes `ms` after the runs before it, and from the call on as an engine in a thread does, whatever its caller does meanwhile. What a
   * timer got wrong, the next runs make up for. Returns the time taken.
   */
  #take(ms: number): Promise<number> {
    if (this.#closed) throw new RondoError('ENGINE_FAILED', 'the timed engine is closed');
    const calledMs = this.#clock.now();
    const run = this.#last.then(async () => {
      const begin = Math.max(calledMs, this.#lastEndedMs);
      const due = ms - this.#late;
      const left = due - (this.#clock.now() - begin);
      if (left > 0) await this.#sleep(left);
      this.#lastEndedMs = this.#clock.now();
      const taken = this.#lastEndedMs - begin;
      // A process that was kept from running for long is slow, and must not look fast afterwards.
      this.#late = Math.min(taken - due, 1);
      return taken;
    });
    this.#last = run;
    return run;
  }
}

function candidateIds({ shape, tokens, headCandidates }: Manifest): Int32Array {
  const ids: number[] = [];
  for (let step = 0; step < shape.vocab && ids.length < Math.min(headCandidates, shape.vocab); step++) {
    const id = ((shape.vocab >> 1) + step) % shape.vocab;
    if (!tokens.eos.includes(id)) ids.push(id);
  }
  return Int32Array.from(ids);
}

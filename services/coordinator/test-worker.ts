import { setTimeout as delay } from 'node:timers/promises';
import { type Address, type GenerateSpec, RondoError, type TokenLogprob, workerId } from '@rondo/core';
import {
  type GenerateStreamEvent,
  type Load,
  type PassesLink,
  PROTOCOL_REVISION,
  type Pulse,
  type WorkerClient,
  type WorkerDescription,
} from '@rondo/wire';

export interface Script {
  readonly id?: string;
  /** Ids that a sequence generates, those it has emitted elsewhere among them; after them it repeats the last. */
  readonly reply?: (spec: GenerateSpec) => readonly number[];
  /** Positions that fit; more are refused with KV_EXHAUSTED. */
  readonly positions?: number;
  /** Positions of them that sequences of another coordinator hold. */
  readonly heldByOthers?: number;
  /** After so many tokens the stream stays silent until it is cancelled. */
  readonly silentAfter?: number | undefined;
  /** After so many tokens the stream fails. */
  readonly failAfter?: number;
  /** Tokens of the prompt that it has in its prefix cache. */
  readonly cachedTokens?: number;
  /** Rewrites the events of a sequence, to play a worker that misbehaves. */
  readonly tamper?: (event: GenerateStreamEvent) => readonly GenerateStreamEvent[];
  readonly describe?: Partial<WorkerDescription> | RondoError;
}

const PASSES = 4;
/** Scripted workers pulse often, so that tests need not wait. */
const PULSE_MS = 5;
const LOGPROB = -0.5;

/** A worker in this process that follows a script: it has room or not, opens, sends tokens, notices cancels. */
export class ScriptedWorker implements WorkerClient {
  readonly specs: GenerateSpec[] = [];
  readonly cancelled: string[] = [];
  held = 0;
  closed = false;
  /** What its pulses say. */
  state: Pulse['state'] = 'serving';
  progress: Pulse['progress'] = { steps: 0, stillMs: 0, runningMs: 0 };
  work: Pulse['work'] = { runs: 0, depthRows: [] };
  /** While it is away nothing reaches it, and what runs there is lost. */
  #away = false;
  #script: Script;
  #changed = Promise.withResolvers<void>();

  constructor(script: Script = {}) {
    this.#script = script;
  }

  async describe(): Promise<WorkerDescription> {
    const { describe = {}, id = 'w1' } = this.#script;
    if (describe instanceof RondoError) throw describe;
    if (this.#away) throw this.#lost();
    return {
      workerId: workerId(id),
      protocolRevision: PROTOCOL_REVISION,
      bundleDigest: 'd'.repeat(64),
      bundleName: 'tiny',
      provider: 'cpu',
      load: this.#load,
      ...describe,
    };
  }

  /** Pulses until the connection is lost. */
  async *watch(signal: AbortSignal): AsyncGenerator<Pulse> {
    while (!this.#away) {
      yield { state: this.state, load: this.#load, progress: this.progress, work: this.work };
      await Promise.race([this.#changed.promise, delay(PULSE_MS, undefined, { signal, ref: false })]);
    }
    throw this.#lost();
  }

  /** Its process dies, or comes back. */
  setAway(away: boolean): void {
    this.#away = away;
    this.#announce();
  }

  /** From now on sequences fall silent after so many tokens, or no more. */
  setSilentAfter(tokens: number | undefined): void {
    this.#script = { ...this.#script, silentAfter: tokens };
  }

  #lost(): RondoError {
    return new RondoError('WORKER_LOST', `worker ${this.#script.id ?? 'w1'} is away`);
  }

  get #load(): Load {
    const { positions = 1000, heldByOthers = 0 } = this.#script;
    const freePositions = positions - heldByOthers - this.held;
    return { sequences: 0, sequencesMax: 8, freePositions, totalPositions: positions, stepMs: 0, hopMs: 0 };
  }

  async *generate(spec: GenerateSpec, signal: AbortSignal): AsyncGenerator<GenerateStreamEvent> {
    const { tamper = (event) => [event] } = this.#script;
    for await (const event of this.#sequence(spec, signal)) yield* tamper(event);
  }

  /** Resolves once `count` sequences were opened. */
  opens(count: number): Promise<void> {
    return this.#until(() => this.specs.length >= count);
  }

  /** Resolves once `count` sequences were cancelled and have given back their positions. */
  cancels(count: number): Promise<void> {
    return this.#until(() => this.cancelled.length >= count && this.held === 0);
  }

  async #until(isTrue: () => boolean): Promise<void> {
    while (!isTrue()) await this.#changed.promise;
  }

  #announce(): void {
    this.#changed.resolve();
    this.#changed = Promise.withResolvers();
  }

  openPasses(): PassesLink {
    throw new Error('the coordinator sends no rows');
  }

  close(): void {
    this.closed = true;
  }

  async *#sequence(spec: GenerateSpec, signal: AbortSignal): AsyncGenerator<GenerateStreamEvent> {
    if (this.#away) throw this.#lost();
    this.specs.push(spec);
    const { epoch } = spec.route;
    const { positions = 1000, heldByOthers = 0 } = this.#script;
    const needed = spec.promptIds.length + spec.maxTokens;
    if (heldByOthers + this.held + needed > positions)
      throw new RondoError('KV_EXHAUSTED', `no room for ${needed} positions`);
    this.held += needed;
    this.#announce();
    try {
      yield { type: 'opened', epoch, cachedTokens: this.#script.cachedTokens ?? 0 };
      if (spec.promptLogprobs) yield* this.#promptLogprobs(spec);
      yield* this.#tokens(spec, signal);
    } finally {
      this.held -= needed;
      if (signal.aborted) this.cancelled.push(spec.sequenceId);
      this.#announce();
    }
  }

  *#promptLogprobs(spec: GenerateSpec): Generator<GenerateStreamEvent> {
    // Two events, as prefill in chunks gives them.
    const { epoch } = spec.route;
    const tokens = spec.promptIds.slice(1).map((id) => ({ id, logprob: LOGPROB, top: candidates(spec, id) }));
    const half = Math.ceil(tokens.length / 2);
    yield { type: 'prompt-logprobs', epoch, first: 1, tokens: tokens.slice(0, half) };
    yield { type: 'prompt-logprobs', epoch, first: 1 + half, tokens: tokens.slice(half) };
  }

  async *#tokens(spec: GenerateSpec, signal: AbortSignal): AsyncGenerator<GenerateStreamEvent> {
    const { reply = () => [97], silentAfter, failAfter, cachedTokens = 0 } = this.#script;
    const { epoch } = spec.route;
    const ids = reply(spec);
    let index = spec.emitted.length;
    let stopped = false;
    while (index < spec.maxTokens && !stopped) {
      if (index === silentAfter) await Promise.race([cancelOf(signal), this.#until(() => this.#away)]);
      if (this.#away) throw this.#lost();
      if (signal.aborted) throw new RondoError('CANCELLED', 'cancelled');
      if (index === failAfter) throw new RondoError('WORKER_LOST', 'worker w1 went away');
      const id = ids[Math.min(index, ids.length - 1)]!;
      yield { type: 'token', epoch, index, id, logprob: LOGPROB, top: candidates(spec, id), passes: PASSES };
      stopped = spec.stopIds.includes(id);
      index++;
    }
    const ran = spec.maxTokens > 0 || spec.promptLogprobs;
    const promptPasses = ran ? (spec.promptIds.length - cachedTokens) * PASSES : 0;
    const generatedPasses = Math.max(0, index - Math.max(1, spec.emitted.length)) * PASSES;
    yield { type: 'finished', epoch, reason: stopped ? 'stop' : 'length', promptPasses, generatedPasses };
  }
}

/** `id` is the second likeliest of the candidates. */
const candidates = (spec: GenerateSpec, id: number): TokenLogprob[] =>
  [
    { id: (id + 1) % 256, logprob: LOGPROB / 2 },
    { id, logprob: LOGPROB },
    { id: (id + 2) % 256, logprob: LOGPROB * 2 },
  ].slice(0, spec.topLogprobs ?? 0);

const cancelOf = (signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    if (signal.aborted) resolve();
    signal.addEventListener('abort', () => resolve(), { once: true });
  });

/** A way to reach each worker of `workers` by its address. */
export const connectTo =
  (workers: Readonly<Record<string, WorkerClient>>) =>
  (address: Address): WorkerClient => {
    const worker = workers[address];
    if (worker === undefined) throw new Error(`no test worker at ${address}`);
    return worker;
  };

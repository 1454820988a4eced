import { Worker } from 'node:worker_threads';
import { type ErrorCode, RondoError } from '@rondo/core';
import type { LowRank, RankWish } from './low-rank.ts';

export interface LowRankRequest {
  readonly id: number;
  readonly matrix: Float32Array;
  readonly out: number;
  readonly columns: number;
  readonly wish: RankWish;
}

export type LowRankReply = { readonly id: number } & (
  | { readonly result: LowRank }
  | { readonly error: { readonly code: ErrorCode; readonly message: string } }
);

interface Job {
  readonly request: LowRankRequest;
  resolve(result: LowRank): void;
  reject(error: Error): void;
}

const stopped = (): RondoError => new RondoError('CANCELLED', 'the decomposition was stopped');

/** Threads that decompose matrices beside each other, each one at a time. The results do not depend on how many there are. */
export class LowRankThreads {
  readonly #idle: Worker[] = [];
  readonly #running = new Map<Worker, Job>();
  readonly #waiting: Job[] = [];
  #nextId = 0;
  #closed = false;
  /** What the last thread died of. */
  #failure: RondoError | undefined;

  /**
   * @param count threads, at least 1: one for each core is best.
   * @param script what each runs; another than its own for tests.
   */
  constructor(count: number, script = new URL('./low-rank-thread.ts', import.meta.url)) {
    for (let at = 0; at < count; at++) {
      const thread = new Worker(script);
      thread.on('message', (reply: LowRankReply) => this.#settle(thread, reply));
      thread.on('error', (cause) => this.#lose(thread, cause));
      this.#idle.push(thread);
    }
  }

  /**
   * `truncatedSvd` of `matrix` [out, in], which is handed over: its buffer is empty afterwards.
   * @throws RondoError what `truncatedSvd` throws, CANCELLED after `close`, INTERNAL when the thread died, as of memory, or all have.
   */
  decompose(matrix: Float32Array, out: number, columns: number, wish: RankWish): Promise<LowRank> {
    if (this.#closed) return Promise.reject(stopped());
    if (this.#failure) return Promise.reject(this.#failure);
    const request = { id: this.#nextId++, matrix, out, columns, wish };
    return new Promise((resolve, reject) => {
      this.#waiting.push({ request, resolve, reject });
      this.#start();
    });
  }

  async close(): Promise<void> {
    this.#closed = true;
    const threads = [...this.#idle.splice(0), ...this.#running.keys()];
    const open = [...this.#running.values(), ...this.#waiting.splice(0)];
    this.#running.clear();
    for (const { reject } of open) reject(stopped());
    await Promise.all(threads.map((thread) => thread.terminate()));
  }

  #start(): void {
    while (this.#idle.length > 0 && this.#waiting.length > 0) {
      const [thread, job] = [this.#idle.pop()!, this.#waiting.shift()!];
      this.#running.set(thread, job);
      thread.postMessage(job.request, [job.request.matrix.buffer as ArrayBuffer]);
    }
  }

  #settle(thread: Worker, reply: LowRankReply): void {
    const job = this.#running.get(thread);
    if (!job) return;
    this.#running.delete(thread);
    this.#idle.push(thread);
    if ('result' in reply) job.resolve(reply.result);
    else job.reject(new RondoError(reply.error.code, reply.error.message));
    this.#start();
  }

  #lose(thread: Worker, cause: Error): void {
    const failure = new RondoError('INTERNAL', `a decomposing thread died: ${cause.message}`, { cause });
    const lost = this.#running.get(thread);
    this.#running.delete(thread);
    lost?.reject(failure);
    const idle = this.#idle.indexOf(thread);
    if (idle >= 0) this.#idle.splice(idle, 1);
    if (this.#running.size + this.#idle.length > 0) return;
    this.#failure = failure;
    for (const { reject } of this.#waiting.splice(0)) reject(failure);
  }
}

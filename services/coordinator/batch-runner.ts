import { setTimeout as delay } from 'node:timers/promises';
import type { Logger } from '@rondo/chassis';
import { type Clock, RondoError } from '@rondo/core';
import type { Job } from '@rondo/wire';
import { answerLine, encodeResult, givenUp, type LineOptions, type StoredOutcome } from './batch-answer.ts';
import { type BatchLine, isBatchError, parseLine } from './batch-lines.ts';
import type { BatchMetrics } from './batch-metrics.ts';
import { type BatchRoomView, batchRoom, type LineCourse, lineCourse } from './batch-policy.ts';
import type { BatchRecord } from './batch-record.ts';
import type { BatchStores } from './batch-stores.ts';
import { RefusalPause } from './refusal-pause.ts';

export interface BatchRunnerOptions extends LineOptions {
  readonly stores: Pick<BatchStores, 'queue' | 'results' | 'silenceMs'>;
  /** What the coordinator knows of its own load. */
  readonly load: () => Omit<BatchRoomView, 'lines' | 'lone' | 'pausedForMs'>;
  /** Batches whose lines may run, the oldest first. */
  readonly running: () => readonly BatchRecord[];
  readonly metrics: BatchMetrics;
  readonly log: Logger;
  readonly clock: Clock;
}

/** How often the runner looks for room or lines when it has nothing to go by, in milliseconds. */
const LOOK_MS = 100;
/** How often storing an answer is tried again while NATS is away, and the pause between, in milliseconds. */
const STORE = { tries: 300, pauseMs: 1_000 };

/** Takes lines of batches from the queue whenever there is room for one, and answers them. */
export class BatchRunner {
  readonly #options: BatchRunnerOptions;
  readonly #lines = new Set<Promise<void>>();
  /** A line that has to be alone runs, or was given back until those that run have ended. */
  #lone = false;
  /** After a failure that any line would meet. */
  readonly #pause = new RefusalPause();
  /** Of each model by name, after its workers had no room or there were none: batches of others go on. */
  readonly #pauses = new Map<string, RefusalPause>();
  /** Of each batch by id, that of the model of its last line: who asks for the same waits as long, and the oldest goes first again. */
  readonly #holds = new Map<string, RefusalPause>();
  #wake = Promise.withResolvers<void>();

  constructor(options: BatchRunnerOptions) {
    this.#options = options;
  }

  /** Runs until `signal` is raised; then the running lines are given back, for another coordinator to take. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      if (await this.#startOne(signal)) continue;
      this.#wake = Promise.withResolvers();
      await Promise.race([this.#wake.promise, delay(LOOK_MS, undefined, { signal }).catch(() => undefined)]);
    }
    await Promise.all(this.#lines);
  }

  #hasRoom(): boolean {
    const { load, clock } = this.#options;
    const pausedForMs = this.#pause.leftMs(clock.now());
    return batchRoom({ ...load(), lines: this.#lines.size, lone: this.#lone, pausedForMs }) === 'start';
  }

  /** True when a line was started, or given back at once: there may be more. */
  async #startOne(signal: AbortSignal): Promise<boolean> {
    const { stores, clock } = this.#options;
    if (!this.#hasRoom()) return false;
    const batches = this.#options.running();
    for (const id of this.#holds.keys())
      if (!batches.some((batch) => batch.id === id)) this.#holds.delete(id);
    for (const batch of batches) {
      if ((this.#holds.get(batch.id)?.leftMs(clock.now()) ?? 0) > 0) continue;
      const job = await stores.queue.take(batch.id).catch(() => undefined);
      if (job === undefined) continue;
      if (signal.aborted || !this.#hasRoom()) {
        // Room was lost while the line was on its way: another coordinator may have some.
        await job.giveBack('unharmed');
        return false;
      }
      const course = lineCourse(job.deliveries);
      if (course === 'run-alone') {
        this.#lone = true;
        if (this.#lines.size > 0) {
          // Held here it would be lost with the others, and have been blamed for it.
          await job.giveBack('unharmed');
          return false;
        }
      }
      const line = this.#line(batch, job, course, signal).finally(() => {
        this.#lines.delete(line);
        if (this.#lines.size === 0) this.#lone = false;
        this.#options.metrics.linesRunning.set(this.#lines.size);
        this.#wake.resolve();
      });
      this.#lines.add(line);
      this.#options.metrics.linesRunning.set(this.#lines.size);
      return true;
    }
    return false;
  }

  /** Answers one line and stores the answer before the job is done with: whoever is killed in between loses nothing. */
  async #line(batch: BatchRecord, job: Job, course: LineCourse, signal: AbortSignal): Promise<void> {
    const { stores, metrics, log } = this.#options;
    const { deliveries } = job;
    if (deliveries > 1) {
      const told = { batch: batch.id, line: job.key, deliveries, course };
      log.warn(told, 'a line of a batch was taken before and not answered');
    }
    const keeping = setInterval(() => job.keep(), stores.silenceMs / 3);
    try {
      if ((await stores.results.get(batch.id, job.key)) !== undefined) {
        metrics.lines.inc({ outcome: 'answered-before' });
        job.done();
        return;
      }
      const line = lineOf(batch, job);
      let pause = this.#pause;
      const serving = (model: string) => {
        pause = this.#pauseOf(model);
        this.#holds.set(batch.id, pause);
      };
      let outcome =
        course === 'give-up'
          ? givenUp(line, job.deliveries - 1)
          : await answerLine(this.#options, batch, line, signal, serving);
      if (outcome.kind === 'refused') {
        if (!outcome.ran || lineCourse(deliveries + 1) !== 'give-up') {
          metrics.lines.inc({ outcome: 'refused' });
          this.#refused(pause);
          // Another line of the batch may have been for another model since.
          this.#holds.set(batch.id, pause);
          await job.giveBack(outcome.ran ? 'harmful' : 'unharmed');
          return;
        }
        outcome = givenUp(line, deliveries, outcome.error);
      }
      this.#pause.accepted();
      pause.accepted();
      const stored = await this.#store(batch.id, job.key, outcome, signal);
      metrics.lines.inc({ outcome: stored ? outcome.kind : 'answered-before' });
      job.done();
    } catch (thrown) {
      if (!signal.aborted) this.#refused(this.#pause);
      await job.giveBack('unharmed');
      if (signal.aborted) return;
      metrics.lines.inc({ outcome: 'given-back' });
      log.warn({ err: thrown, batch: batch.id, line: job.key }, 'a line of a batch was given back');
    } finally {
      clearInterval(keeping);
    }
  }

  /** NATS may be away for a while: an answer is worth keeping. True unless another answer was there before. */
  async #store(batchId: string, key: string, outcome: StoredOutcome, signal: AbortSignal): Promise<boolean> {
    const { results } = this.#options.stores;
    const data = encodeResult(outcome.result);
    for (let tries = 1; ; tries++) {
      try {
        return await results.put(batchId, key, outcome.kind, data);
      } catch (thrown) {
        if (tries === STORE.tries) throw thrown;
        await delay(STORE.pauseMs, undefined, { signal });
      }
    }
  }

  #pauseOf(model: string): RefusalPause {
    const pause = this.#pauses.get(model) ?? new RefusalPause();
    this.#pauses.set(model, pause);
    return pause;
  }

  #refused(pause: RefusalPause): void {
    pause.refused(this.#options.clock.now());
  }
}

function lineOf(batch: BatchRecord, job: Job): BatchLine {
  const line = parseLine({ number: Number(job.key) + 1, bytes: job.data }, batch.endpoint);
  if (!isBatchError(line)) return line;
  throw new RondoError('INTERNAL', `a line that was checked is wrong: ${line.message}`);
}

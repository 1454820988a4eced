import { setTimeout as delay } from 'node:timers/promises';
import { type Clock, LIMITS, RondoError } from '@rondo/core';
import type { AnswerListener } from './answer-listener.ts';
import type { LiveFrame } from './live-frame.ts';
import type { Models } from './models.ts';

/** How many of the last times a median is taken over. */
const TIMES_KEPT = 128;

/** What a page needs to show the cluster at work, at a fixed pace, to a bounded number of viewers. */
export class LiveFeed {
  readonly #models: Models;
  readonly #clock: Clock;
  readonly #maxDepth: number;
  readonly #exits: number[];
  readonly #firstToken: number[] = [];
  readonly #betweenTokens: number[] = [];
  readonly #closing = new AbortController();
  #viewers = 0;

  constructor(models: Models, clock: Clock) {
    this.#models = models;
    this.#clock = clock;
    this.#maxDepth = Math.max(...models.all.map(({ bundle }) => bundle.manifest.maxDepth));
    this.#exits = Array.from({ length: this.#maxDepth }, () => 0);
  }

  /** Listens to one answer. */
  listener(): AnswerListener {
    const began = this.#clock.now();
    const last = new Map<number, number>();
    return {
      hear: (index, { tokens }) => {
        if (tokens.length === 0) return;
        const now = this.#clock.now();
        const before = last.get(index);
        if (before === undefined) keep(this.#firstToken, now - began);
        else keep(this.#betweenTokens, (now - before) / tokens.length);
        last.set(index, now);
        for (const { passes } of tokens) this.#exits[Math.min(passes, this.#maxDepth) - 1]! += 1;
      },
      end() {},
    };
  }

  /** Whether somebody looks. */
  get watched(): boolean {
    return this.#viewers > 0;
  }

  get frame(): LiveFrame {
    const { all, names, load } = this.#models;
    return {
      atMs: this.#clock.now(),
      models: names,
      maxDepth: this.#maxDepth,
      running: load.interactive,
      // Of all models, as those that run are: the load tells of the one with the fewest.
      waiting: all.reduce((sum, { service }) => sum + service.generation.waiting, 0),
      workers: all.flatMap(({ name, membership }) =>
        membership.links.map((link) => ({
          id: link.known?.worker.id ?? 'unknown',
          model: name,
          state: link.state,
          sequences: link.linked?.load.sequences ?? 0,
          faults: (link.linked && membership.distrust(link.linked.worker.id)?.faults) ?? 0,
          kvShare: link.linked ? heldShare(link.linked.load) : 0,
          runs: link.linked?.work.runs ?? 0,
          depthRows: link.linked?.work.depthRows ?? [],
        })),
      ),
      tokens: this.#exits.reduce((sum, tokens) => sum + tokens, 0),
      exits: [...this.#exits],
      firstTokenMs: median(this.#firstToken),
      betweenTokensMs: median(this.#betweenTokens),
    };
  }

  /**
   * Frames for one viewer, one every `LIMITS.consoleEveryMs`, until it leaves or the coordinator ends.
   * @throws RondoError OVERLOADED beyond `LIMITS.consoleViewersMax`.
   */
  frames(gone: AbortSignal): AsyncGenerator<LiveFrame, void, undefined> {
    if (this.#viewers >= LIMITS.consoleViewersMax) {
      throw new RondoError(
        'OVERLOADED',
        `${this.#viewers} consoles are open, the most there may be; close one`,
      );
    }
    this.#viewers++;
    return this.#follow(AbortSignal.any([gone, this.#closing.signal]));
  }

  /** Ends every viewer's stream. */
  close(): void {
    this.#closing.abort();
  }

  async *#follow(ended: AbortSignal): AsyncGenerator<LiveFrame, void, undefined> {
    try {
      while (!ended.aborted) {
        yield this.frame;
        await delay(LIMITS.consoleEveryMs, undefined, { signal: ended }).catch(() => {});
      }
    } finally {
      this.#viewers--;
    }
  }
}

const heldShare = ({ freePositions, totalPositions }: { freePositions: number; totalPositions: number }) =>
  totalPositions === 0 ? 0 : 1 - freePositions / totalPositions;

function keep(times: number[], ms: number): void {
  times.push(ms);
  if (times.length > TIMES_KEPT) times.shift();
}

const median = (times: readonly number[]): number | null =>
  times.toSorted((a, b) => a - b)[Math.floor(times.length / 2)] ?? null;

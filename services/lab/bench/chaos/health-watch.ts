import { setTimeout as delay } from 'node:timers/promises';

const EVERY_MS = 100;
const ANSWER_MS = 5000;

interface WorkerHealth {
  readonly address: string;
  readonly status: string;
  readonly load?: { readonly freePositions: number; readonly totalPositions: number };
}

/** When a coordinator's view of a worker changed. */
export interface Sighting {
  readonly atMs: number;
  readonly coordinator: number;
  readonly address: string;
  readonly serving: boolean;
}

/** Follows what each coordinator thinks of each worker, by asking for its health all the time. */
export class HealthWatch {
  readonly sightings: Sighting[] = [];
  readonly #urls: readonly string[];
  readonly #stop = new AbortController();
  /** Of each coordinator: the workers that serve as far as it knows. */
  readonly #serving: readonly Set<string>[];
  readonly #running: Promise<unknown>;

  constructor(urls: readonly string[]) {
    this.#urls = urls;
    this.#serving = urls.map(() => new Set<string>());
    this.#running = Promise.all(urls.map((_, coordinator) => this.#follow(coordinator)));
  }

  /** Whether every coordinator holds the worker at `address` for serving. */
  serving(address: string): boolean {
    return this.#serving.every((known) => known.has(address));
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#running;
  }

  /** Positions that workers hold reserved although nothing runs any more, as the coordinators see them last. */
  async reserved(): Promise<number> {
    const views = await Promise.all(this.#urls.map(ask));
    const held = (workers: readonly WorkerHealth[]) =>
      workers.reduce((sum, { load }) => sum + (load ? load.totalPositions - load.freePositions : 0), 0);
    return Math.max(...views.map(held));
  }

  async #follow(coordinator: number): Promise<void> {
    const { signal } = this.#stop;
    while (!signal.aborted) {
      const known = this.#serving[coordinator]!;
      const workers = await ask(this.#urls[coordinator]!).catch(() => undefined);
      const serving = new Set(
        workers?.filter(({ status }) => status === 'ok').map(({ address }) => address) ?? known,
      );
      for (const address of serving.symmetricDifference(known)) {
        const now = serving.has(address);
        this.sightings.push({ atMs: performance.now(), coordinator, address, serving: now });
        if (now) known.add(address);
        else known.delete(address);
      }
      await delay(EVERY_MS, undefined, { signal }).catch(() => undefined);
    }
  }
}

async function ask(url: string): Promise<readonly WorkerHealth[]> {
  const response = await fetch(`${url}/health`, { signal: AbortSignal.timeout(ANSWER_MS) });
  return ((await response.json()) as { workers: readonly WorkerHealth[] }).workers;
}

import type { LiveFrame, LiveWorker } from './live-frame.ts';

export interface WorkerRates {
  readonly worker: LiveWorker;
  /** Mean rows in a run of the block; 0 when it ran none. */
  readonly rowsPerStep: number;
  /** Rows a second at each depth. */
  readonly depths: readonly number[];
}

/** What happened a second between two frames. */
export interface LiveRates {
  readonly seconds: number;
  readonly tokens: number;
  /** Rows that ran at each depth, of all workers. */
  readonly depths: readonly number[];
  /** Tokens that left after each depth. */
  readonly exits: readonly number[];
  readonly workers: readonly WorkerRates[];
}

/** What a count that rises modulo 2^32 has risen by; one that fell began anew. */
const rise = (now: number, before: number | undefined): number =>
  before === undefined || now < before ? 0 : now - before;

/** The rates of the time between `before` and `frame`; all 0 when that is none. */
export function ratesBetween(before: LiveFrame, frame: LiveFrame): LiveRates {
  const seconds = Math.max(0, (frame.atMs - before.atMs) / 1000);
  const rate = (now: number, then: number | undefined) => (seconds > 0 ? rise(now, then) / seconds : 0);
  const earlier = new Map(before.workers.map((worker) => [worker.id, worker]));
  const workers = frame.workers.map((worker): WorkerRates => {
    const then = earlier.get(worker.id);
    const runs = rise(worker.runs, then?.runs);
    const rows = worker.depthRows.reduce((sum, now, depth) => sum + rise(now, then?.depthRows[depth]), 0);
    return {
      worker,
      rowsPerStep: runs > 0 ? rows / runs : 0,
      depths: worker.depthRows.map((now, depth) => rate(now, then?.depthRows[depth])),
    };
  });
  return {
    seconds,
    tokens: rate(frame.tokens, before.tokens),
    depths: Array.from({ length: frame.maxDepth }, (_, depth) =>
      workers.reduce((sum, { depths }) => sum + (depths[depth] ?? 0), 0),
    ),
    exits: frame.exits.map((now, depth) => rate(now, before.exits[depth])),
    workers,
  };
}

import { createLog, Lifecycle, type Logger, Metrics } from '@rondo/chassis';
import type { RunningWorker } from '@rondo/worker';
import { exitWith } from './failure.ts';

/** What every serving process has. */
export interface Process {
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly lifecycle: Lifecycle;
}

/**
 * Runs `start` in a process that stops at SIGINT or SIGTERM: what has started by then is stopped, newest first.
 * The same happens when `start` fails, before its error goes on.
 */
export async function serve(name: string, start: (process: Process) => Promise<void>): Promise<void> {
  const log = createLog(name);
  const lifecycle = new Lifecycle(log);
  lifecycle.ownProcess();
  try {
    await start({ log, metrics: new Metrics(), lifecycle });
  } catch (error) {
    await lifecycle.stop();
    throw error;
  }
}

/** Stops `worker` with the process, and the process when the worker can serve no more: a supervisor starts it again. */
export function keepWorker(worker: RunningWorker, { lifecycle }: Process): void {
  lifecycle.onStop(`worker ${worker.address}`, () => worker.stop());
  void worker.broken.then(async (error) => {
    await lifecycle.stop();
    exitWith(error);
  });
}

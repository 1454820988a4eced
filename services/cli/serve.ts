import { createLog, Lifecycle, type Logger, Metrics, settings, text, unsetWhenEmpty } from '@rondo/chassis';
import type { RunningWorker } from '@rondo/worker';
import { exitWith } from './failure.ts';

/** What every serving process has. */
export interface Chassis {
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly lifecycle: Lifecycle;
}

interface ServeOptions {
  /** A person reads along: only warnings are logged unless RONDO_LOG says otherwise. */
  readonly quiet?: boolean;
  /** How long its parts may take to end their work; `LIMITS.drainMs` unless told otherwise. */
  readonly drainMs?: number;
}

/**
 * Runs `start` in a process that stops at SIGINT or SIGTERM: what has started by then is stopped, newest first.
 * The same happens when `start` fails, before its error goes on.
 */
export async function serve(
  name: string,
  start: (chassis: Chassis) => Promise<void>,
  { quiet = false, drainMs }: ServeOptions = {},
): Promise<void> {
  const unset = settings({ level: unsetWhenEmpty(text('RONDO_LOG', '')) }).level === '';
  const log = createLog(name, quiet && unset ? { level: 'warn' } : {});
  const lifecycle = new Lifecycle(log);
  lifecycle.ownProcess(drainMs);
  try {
    await start({ log, metrics: new Metrics(), lifecycle });
  } catch (error) {
    await lifecycle.stop();
    throw error;
  }
}

/** Stops `worker` with the process, and the process when the worker can serve no more: a supervisor starts it again. */
export function keepWorker(worker: RunningWorker, { lifecycle }: Chassis): void {
  lifecycle.onStop(`worker ${worker.address}`, () => worker.stop());
  lifecycle.mayBeInNative(() => worker.inRun);
  void worker.broken.then(async (error) => {
    await lifecycle.stop();
    exitWith(error);
  });
}

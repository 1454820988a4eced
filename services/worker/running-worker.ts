import type { Address, RondoError } from '@rondo/core';
import type { WorkerDescription } from '@rondo/wire';

export interface RunningWorker {
  /** Where it really listens. */
  readonly address: Address;
  readonly workerId: string;
  /** What it says of itself, now. */
  describe(): WorkerDescription;
  /**
   * Settles, with the reason, only when the worker can serve no more and has to be restarted; with WORKER_STUCK when a thread
   * of this process does not come back, so that the process cannot exit by itself.
   */
  readonly broken: Promise<RondoError>;
  /** The engine runs something: a thread of this process may be in native code. */
  readonly inRun: boolean;
  /** Drains: takes nothing new, waits until its sequences have ended or moved on, `drainMs` at most, then frees everything. */
  stop(): Promise<void>;
}

import type { Bundle } from '@rondo/bundle';
import type { Logger, Metrics, Telemetry } from '@rondo/chassis';
import type { Address, TlsIdentity } from '@rondo/core';
import type { Activations } from '@rondo/wire';
import type { EngineChoice } from './open-engine.ts';
import type { StepPolicy } from './step-policy.ts';

export interface WorkerOptions extends EngineChoice {
  readonly bundle: Bundle;
  /** `host:port` to listen on; port 0 takes a free one. */
  readonly listen: Address;
  /** The address that others should use, where it is not the one listened on. */
  readonly advertise?: Address | undefined;
  /** A fresh one by default: a restarted worker has lost its K/V and is another. */
  readonly workerId?: string | undefined;
  /** What this worker shows to others and holds them to; absent: plaintext, open to whoever reaches the port. */
  readonly tls?: TlsIdentity | undefined;
  /** How rows are batched; all but `depth` are there to compare with. */
  readonly policy?: StepPolicy | undefined;
  /** Whether prompts share the pages of their common beginnings; they do by default. */
  readonly prefixCache?: boolean | undefined;
  /** How long `stop` waits for its sequences to end or move on, in milliseconds; `LIMITS.drainMs` by default. */
  readonly drainMs?: number | undefined;
  /** How long one run may last before this worker is broken, in milliseconds; `LIMITS.hangMs` by default. */
  readonly hangMs?: number | undefined;
  /** For tests: freed pages are overwritten with NaN, so that reading one shows. */
  readonly poisonFreed?: boolean | undefined;
  /** How states travel to other workers: the same on all workers of a cluster; f32 by default. */
  readonly activations?: Activations | undefined;
  /** Where spans of steps go; absent: nowhere. */
  readonly telemetry?: Telemetry | undefined;
  readonly log: Logger;
  readonly metrics: Metrics;
}

import type { RondoError, Route, SequenceId } from '@rondo/core';
import type { HomeSequence } from './home.ts';
import type { HostedStage } from './hosted-stage.ts';
import type { Residency } from './residency.ts';

/** What every sequence on this worker is, whether it lives here or only runs some of its passes here. */
export interface Resident {
  readonly sequenceId: SequenceId;
  readonly route: Route;
  readonly residency: Residency;
  /** False from its end on: its chunks and results are dropped. */
  readonly open: boolean;
  /** Ends it with an error that its owner is told. */
  fail(error: RondoError): void;
}

export type Tenant = HomeSequence | HostedStage;

import type { ExitRule, RondoError, Route, SequenceId } from '@rondo/core';
import type { Chunk } from './chunk.ts';
import type { HomeSequence } from './home-sequence.ts';
import type { HostedStage } from './hosted-stage.ts';
import type { Residency } from './residency.ts';
import type { RunRecorder } from './run-recorder.ts';

/** What every sequence on this worker is, whether it lives here or only runs some of its passes here. */
export interface Resident {
  readonly sequenceId: SequenceId;
  readonly route: Route;
  readonly residency: Residency;
  /** False from its end on: its chunks and results are dropped. */
  readonly open: boolean;
  /** Those that are not of the background come first. */
  readonly background: boolean;
  /** Keeps what runs for it, when its request asks for that. */
  readonly recorder: RunRecorder | undefined;
  /** W3C trace context of a request that is sampled. */
  readonly traceparent: string | undefined;
  /** Whether the row at `position` is one of a token being generated. */
  isGenerated(position: number): boolean;
  /** The rule by which this chunk may leave the loop early; prompt rows always run every pass. */
  exitRule(chunk: Chunk): ExitRule | undefined;
  /** Index among the generated rows of the last row of `chunk`. */
  generatedRow(chunk: Chunk): number;
  /** Ends it with an error that its owner is told. */
  fail(error: RondoError): void;
}

export type Tenant = HomeSequence | HostedStage;

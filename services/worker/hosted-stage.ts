import type { ExitRule, RondoError, Route, SequenceId } from '@rondo/core';
import type { Chunk } from './chunk.ts';
import type { Residency } from './residency.ts';
import { RunRecorder } from './run-recorder.ts';
import type { Resident } from './tenant.ts';

interface Hooks {
  /** Tells the home that its stage here is lost. */
  failed(error: RondoError): void;
  closed(stage: HostedStage): void;
}

/** What a stage must know of its sequence, as its home says. */
export interface StageTerms {
  readonly sequenceId: SequenceId;
  readonly route: Route;
  /** Rows from `promptRows` on may leave the loop early by `exit`. */
  readonly exit: ExitRule;
  readonly promptRows: number;
  /** Whether its home needs the states of all prompt rows, not only the last of each chunk. */
  readonly promptStates: boolean;
  readonly traceparent?: string | undefined;
  /** Whether it sends along what has run for the sequence. */
  readonly tellRuns?: boolean | undefined;
  /** Whether its rows give way to those of sequences that are not of the background. */
  readonly background: boolean;
}

/** A sequence that lives elsewhere and runs some of its passes here. */
export class HostedStage implements Resident {
  readonly kind = 'stage';
  readonly residency: Residency;
  readonly recorder: RunRecorder | undefined;
  readonly #terms: StageTerms;
  readonly #hooks: Hooks;
  #open = true;

  constructor(terms: StageTerms, residency: Residency, hooks: Hooks) {
    this.#terms = terms;
    this.residency = residency;
    this.#hooks = hooks;
    if (terms.tellRuns) this.recorder = new RunRecorder();
  }

  get traceparent(): string | undefined {
    return this.#terms.traceparent;
  }

  get sequenceId(): SequenceId {
    return this.#terms.sequenceId;
  }

  get route(): Route {
    return this.#terms.route;
  }

  get background(): boolean {
    return this.#terms.background;
  }

  isGenerated(position: number): boolean {
    return position >= this.#terms.promptRows;
  }

  /** The rows of a chunk whose states its home needs after their last pass. */
  rowsForHome(chunk: Chunk): number {
    return this.isGenerated(chunk.start) || this.#terms.promptStates ? chunk.rows : 1;
  }

  exitRule({ start }: Chunk): ExitRule | undefined {
    return this.isGenerated(start) ? this.#terms.exit : undefined;
  }

  generatedRow({ start, rows }: Chunk): number {
    return start + rows - 1 - this.#terms.promptRows;
  }

  get open(): boolean {
    return this.#open;
  }

  fail(error: RondoError): void {
    if (!this.#open) return;
    this.#hooks.failed(error);
    this.close();
  }

  /** Frees its pages; the second call does nothing. */
  close(): void {
    if (!this.#open) return;
    this.#open = false;
    this.#hooks.closed(this);
  }
}

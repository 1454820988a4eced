import type { RondoError, Route, SequenceId } from '@rondo/core';
import type { Residency } from './residency.ts';
import type { Resident } from './tenant.ts';

interface Ways {
  /** Tells the home that its stage here is lost. */
  failed(error: RondoError): void;
  closed(stage: HostedStage): void;
}

/** A sequence that lives elsewhere and runs some of its passes here. */
export class HostedStage implements Resident {
  readonly kind = 'stage';
  readonly sequenceId: SequenceId;
  readonly route: Route;
  readonly residency: Residency;
  readonly #ways: Ways;
  #open = true;

  constructor(sequenceId: SequenceId, route: Route, residency: Residency, ways: Ways) {
    this.sequenceId = sequenceId;
    this.route = route;
    this.residency = residency;
    this.#ways = ways;
  }

  get open(): boolean {
    return this.#open;
  }

  fail(error: RondoError): void {
    if (!this.#open) return;
    this.#ways.failed(error);
    this.close();
  }

  /** Frees its pages; the second call does nothing. */
  close(): void {
    if (!this.#open) return;
    this.#open = false;
    this.#ways.closed(this);
  }
}

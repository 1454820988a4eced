import { LIMITS, RondoError, type WorkerId } from '@rondo/core';

/** Granted in portions of this share of the whole, so that rows do not each cost a reply. */
const PORTION = LIMITS.linkCreditRows / 4;

/** What one peer may send: rows granted and not yet arrived, and rows that have arrived and may be granted again. */
export class RowLedger {
  readonly #peer: WorkerId;
  readonly #grant: (rows: number) => void;
  #granted = 0;
  #due: number = LIMITS.linkCreditRows;

  constructor(peer: WorkerId, grant: (rows: number) => void) {
    this.#peer = peer;
    this.#grant = grant;
    this.renew();
  }

  /** @throws RondoError PROTOCOL_MISMATCH for more rows than were granted. */
  arrived(rows: number): void {
    if (rows > this.#granted) {
      throw new RondoError(
        'PROTOCOL_MISMATCH',
        `worker ${this.#peer} sent ${rows} rows with ${this.#granted} granted: run the same Rondo version on both`,
      );
    }
    this.#granted -= rows;
    this.#due += rows;
  }

  /** There is room for more: grants what has arrived, once it is worth a reply. */
  renew(): void {
    if (this.#due < PORTION) return;
    const rows = this.#due;
    this.#due = 0;
    this.#granted += rows;
    this.#grant(rows);
  }
}

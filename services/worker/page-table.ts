import type { Reservation } from '@rondo/engine';

/** Pages of one (sequence, depth) of a stack, in position order, and how far K and V are written in them. */
export class PageTable {
  readonly pages: number[];
  #written: number;
  readonly #pagePositions: number;

  /** `written` positions, a whole number of pages, were written by others; `shared` are the pages they lie in. */
  constructor(pagePositions: number, written = 0, shared: readonly number[] = []) {
    this.#pagePositions = pagePositions;
    this.#written = written;
    this.pages = [...shared];
  }

  /** K and V of positions 0…written−1 lie in the pages. */
  get written(): number {
    return this.#written;
  }

  /** Takes pages until positions below `end` have one. */
  reach(end: number, reservation: Reservation): void {
    while (this.pages.length * this.#pagePositions < end) this.pages.push(reservation.take());
  }

  wrote(end: number): void {
    this.#written = end;
  }

  /** Page and slot of a position that has a page. */
  locate(position: number): { page: number; slot: number } {
    return {
      page: this.pages[Math.floor(position / this.#pagePositions)]!,
      slot: position % this.#pagePositions,
    };
  }
}

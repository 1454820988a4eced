/** Page 0 of every pool: always zero, what padded page tables point at; never handed out. */
export const NULL_PAGE = 0;

/** A promise of pages, kept by the pool whatever else it promises. */
export interface Reservation {
  readonly count: number;
  /** Pages taken so far. */
  readonly taken: number;
  /** Hands out one of the promised pages. @throws Error when all are taken or the reservation was released. */
  take(): number;
  /** Returns all pages, taken and untaken. A second call does nothing. */
  release(): void;
}

/** Who holds which page of one stack's pool. Knows page numbers only; the floats are the engine's. */
export class PagePool {
  readonly pages: number;
  readonly #free: number[] = [];
  readonly #reservations = new Set<PageReservation>();

  /** @param pages size of the pool, the null page included. */
  constructor(pages: number) {
    if (!Number.isInteger(pages) || pages < 1) {
      throw new RangeError(`a pool needs its null page at least, found ${pages} pages`);
    }
    this.pages = pages;
    // A stack: low pages first, and a freed page is the next one taken, while it is still in the cache.
    for (let page = pages - 1; page > NULL_PAGE; page--) this.#free.push(page);
  }

  /** Pages that can ever be promised. */
  get capacity(): number {
    return this.pages - 1;
  }

  /** Pages promised and not yet returned, taken or not. */
  get reserved(): number {
    let total = 0;
    for (const reservation of this.#reservations) total += reservation.count;
    return total;
  }

  /** Pages that the next `reserve` may ask for. */
  get free(): number {
    return this.capacity - this.reserved;
  }

  /** Promises `count` pages, or undefined when that many are not free: the pool never promises a page twice. */
  reserve(count: number): Reservation | undefined {
    if (!Number.isInteger(count) || count < 0) {
      throw new RangeError(`pages to reserve: a count ≥ 0, found ${count}`);
    }
    if (count > this.free) return undefined;
    const reservation = new PageReservation(count, this.#free, (done) => this.#reservations.delete(done));
    this.#reservations.add(reservation);
    return reservation;
  }

  /** @throws Error when a page is lost, held twice or out of range: a bug in the bookkeeping. */
  checkIntegrity(): void {
    const held = [...this.#free, ...[...this.#reservations].flatMap((reservation) => reservation.heldPages)];
    const distinct = new Set(held);
    if (distinct.size !== held.length)
      throw new Error(`page pool: ${held.length - distinct.size} pages held twice`);
    if (held.length !== this.capacity)
      throw new Error(`page pool: ${held.length} of ${this.capacity} pages found`);
    const stray = held.find((page) => page <= NULL_PAGE || page >= this.pages);
    if (stray !== undefined) throw new Error(`page pool: page ${stray} is not one of 1…${this.capacity}`);
    if (this.free < 0) throw new Error(`page pool: overcommitted by ${-this.free} pages`);
  }
}

class PageReservation implements Reservation {
  readonly count: number;
  readonly heldPages: number[] = [];
  readonly #free: number[];
  readonly #onRelease: (reservation: PageReservation) => void;
  #released = false;

  constructor(count: number, free: number[], onRelease: (reservation: PageReservation) => void) {
    this.count = count;
    this.#free = free;
    this.#onRelease = onRelease;
  }

  get taken(): number {
    return this.heldPages.length;
  }

  take(): number {
    if (this.#released) throw new Error('page taken from a released reservation');
    if (this.heldPages.length === this.count) throw new Error(`all ${this.count} reserved pages are taken`);
    const page = this.#free.pop();
    if (page === undefined) throw new Error('page pool: promised more pages than it has');
    this.heldPages.push(page);
    return page;
  }

  release(): void {
    if (this.#released) return;
    this.#released = true;
    this.#free.push(...this.heldPages.reverse());
    this.#onRelease(this);
  }
}

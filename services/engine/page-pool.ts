/** Page 0 of every pool: what padded page tables point at, with anything finite in it; never handed out. */
export const NULL_PAGE = 0;

/** A promise of pages, kept by the pool whatever else it promises, and a share in cached ones. */
export interface Reservation {
  /** Pages promised beyond the shared ones. */
  readonly count: number;
  /** Promised pages taken so far. */
  readonly taken: number;
  /** Hands out one of the promised pages. @throws Error when all are taken or the reservation was released. */
  take(): number;
  /** Returns all pages, taken, untaken and shared. A second call does nothing. */
  release(): void;
}

/**
 * Who uses which page of one stack's pool. Knows page numbers only; the floats are the engine's. A page is free, or used
 * by one or more reservations, or idle: cached for whoever may want it next, and as good as free until then.
 */
export class PagePool {
  readonly pages: number;
  readonly #reclaim: () => boolean;
  readonly #free: number[] = [];
  readonly #freed: (page: number) => void;
  /** Reservations that use each page. */
  readonly #users: Uint32Array;
  /** 1 for pages that stay when their last user leaves. */
  readonly #cached: Uint8Array;
  readonly #reservations = new Set<PageReservation>();
  /** Pages promised and not taken yet. */
  #promised = 0;
  #used = 0;
  #idle = 0;

  /**
   * @param pages size of the pool, the null page included.
   * @param reclaim called when a promised page is wanted and none is free: uncaches something, or returns false when
   * nothing is cached.
   * @param freed told of each page whose content nobody may read any more.
   */
  constructor(pages: number, reclaim: () => boolean = () => false, freed: (page: number) => void = () => {}) {
    if (!Number.isInteger(pages) || pages < 1) {
      throw new RangeError(`a pool needs its null page at least, found ${pages} pages`);
    }
    this.pages = pages;
    this.#reclaim = reclaim;
    this.#freed = freed;
    this.#users = new Uint32Array(pages);
    this.#cached = new Uint8Array(pages);
    // A stack: low pages first, and a freed page is the next one taken, while it is still in the processor's cache.
    for (let page = pages - 1; page > NULL_PAGE; page--) this.#free.push(page);
  }

  /** Pages that can ever be promised. */
  get capacity(): number {
    return this.pages - 1;
  }

  /** Pages promised or used; idle ones are neither. */
  get reserved(): number {
    return this.#promised + this.#used;
  }

  /** Pages that the next `reserve` may ask for. */
  get free(): number {
    return this.capacity - this.reserved;
  }

  /** Pages that some reservation uses, each counted once. */
  get used(): number {
    return this.#used;
  }

  /** Cached pages that nobody uses. */
  get idle(): number {
    return this.#idle;
  }

  /** Reservations that use a page. */
  users(page: number): number {
    return this.#users[page]!;
  }

  /**
   * Promises `count` pages and a share in the cached pages `shared`, or undefined when the pool cannot keep that promise
   * with all it has given: an idle page that is shared is free no more.
   */
  reserve(count: number, shared: readonly number[] = []): Reservation | undefined {
    if (!Number.isInteger(count) || count < 0) {
      throw new RangeError(`pages to reserve: a count ≥ 0, found ${count}`);
    }
    const stray = shared.find((page) => !this.#cached[page]);
    if (stray !== undefined) throw new Error(`page ${stray} is not cached: nobody may share it`);
    const woken = shared.reduce((total, page) => total + (this.#users[page] === 0 ? 1 : 0), 0);
    if (count + woken > this.free) return undefined;
    const reservation = new PageReservation(count, shared, {
      take: () => this.#take(),
      release: (done) => this.#release(done),
    });
    this.#reservations.add(reservation);
    this.#promised += count;
    this.#used += woken;
    this.#idle -= woken;
    for (const page of shared) this.#users[page]!++;
    return reservation;
  }

  /** Lets a used page outlive its users, to be shared. */
  cache(page: number): void {
    if (this.#cached[page] || this.#users[page] === 0) {
      throw new Error(`page ${page} to cache: one that is used and not cached yet, found neither`);
    }
    this.#cached[page] = 1;
  }

  /** Takes a page out of the cache: it is free once nobody uses it. */
  uncache(page: number): void {
    if (!this.#cached[page]) throw new Error(`page ${page} to uncache is not cached`);
    this.#cached[page] = 0;
    if (this.#users[page]! > 0) return;
    this.#idle--;
    this.#giveBack(page);
  }

  /** @throws Error when a page is lost, out of range, used by other than counted, or promised twice: a bug in the bookkeeping. */
  checkIntegrity(): void {
    const users = new Uint32Array(this.pages);
    let promised = 0;
    for (const { count, taken, pages } of this.#reservations) {
      promised += count - taken;
      for (const page of pages) users[page]!++;
    }
    const free = new Uint8Array(this.pages);
    for (const page of this.#free) {
      if (!(page > NULL_PAGE && page < this.pages)) throw stray(page, this.capacity);
      if (free[page]) throw new Error(`page pool: page ${page} is free twice`);
      free[page] = 1;
    }
    let [used, idle] = [0, 0];
    for (let page = 0; page < this.pages; page++) {
      if (users[page] !== this.#users[page])
        throw new Error(`page pool: page ${page} has ${users[page]} users, counted ${this.#users[page]}`);
      if (page === NULL_PAGE) {
        if (users[page]! > 0 || this.#cached[page]) throw stray(page, this.capacity);
        continue;
      }
      const isUsed = users[page]! > 0 ? 1 : 0;
      const isIdle = isUsed ? 0 : this.#cached[page]!;
      if (free[page]! + isUsed + isIdle !== 1)
        throw new Error(`page pool: page ${page} is ${free[page] ? 'free and held' : 'lost'}`);
      used += isUsed;
      idle += isIdle;
    }
    const counted = [this.#promised, this.#used, this.#idle];
    if ([promised, used, idle].join() !== counted.join())
      throw new Error(`page pool: promised, used, idle are ${[promised, used, idle]}, counted ${counted}`);
    if (this.free < 0) throw new Error(`page pool: overcommitted by ${-this.free} pages`);
  }

  #take(): number {
    while (this.#free.length === 0 && this.#reclaim());
    const page = this.#free.pop();
    if (page === undefined) throw new Error('page pool: promised more pages than it has');
    this.#promised--;
    this.#used++;
    this.#users[page] = 1;
    return page;
  }

  #giveBack(page: number): void {
    this.#free.push(page);
    this.#freed(page);
  }

  #release(reservation: PageReservation): void {
    this.#reservations.delete(reservation);
    this.#promised -= reservation.count - reservation.taken;
    for (const page of reservation.pages.toReversed()) {
      if (--this.#users[page]! > 0) continue;
      this.#used--;
      if (this.#cached[page]) this.#idle++;
      else this.#giveBack(page);
    }
  }
}

const stray = (page: number, capacity: number): Error =>
  new Error(`page pool: page ${page} is not one of 1…${capacity}`);

interface Hooks {
  take(): number;
  release(reservation: PageReservation): void;
}

class PageReservation implements Reservation {
  readonly count: number;
  /** The shared pages, then those taken. */
  readonly pages: number[];
  readonly #shared: number;
  readonly #hooks: Hooks;
  #released = false;

  constructor(count: number, shared: readonly number[], hooks: Hooks) {
    this.count = count;
    this.pages = [...shared];
    this.#shared = shared.length;
    this.#hooks = hooks;
  }

  get taken(): number {
    return this.pages.length - this.#shared;
  }

  take(): number {
    if (this.#released) throw new Error('page taken from a released reservation');
    if (this.taken === this.count) throw new Error(`all ${this.count} reserved pages are taken`);
    const page = this.#hooks.take();
    this.pages.push(page);
    return page;
  }

  release(): void {
    if (this.#released) return;
    this.#released = true;
    this.#hooks.release(this);
  }
}

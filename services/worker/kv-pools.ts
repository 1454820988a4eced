import { PagePool, type PoolSizes, type Reservation, STACKS, type Stack } from '@rondo/engine';
import { type PageSet, PrefixCache } from './prefix-cache.ts';

export type PageCounts = Readonly<Record<Stack, number>>;
export type Reservations = Readonly<Record<Stack, Reservation>>;

const NOTHING: PageSet = { prelude: [], block: [], coda: [] };

export interface KvPoolsOptions {
  readonly prefixCache?: boolean | undefined;
  /** Told of each page whose content nobody may read any more. */
  readonly freed?: ((stack: Stack, page: number) => void) | undefined;
}

/** The pools of the three stacks, reserved from together: all or nothing. */
export class KvPools {
  readonly pagePositions: number;
  /** Absent where it is switched off. */
  readonly prefixes: PrefixCache | undefined;
  readonly #pools: Readonly<Record<Stack, PagePool>>;

  constructor(sizes: PoolSizes, pagePositions: number, { prefixCache = true, freed }: KvPoolsOptions = {}) {
    this.pagePositions = pagePositions;
    const reclaim = (): boolean => this.prefixes?.evict() ?? false;
    this.#pools = {
      prelude: new PagePool(sizes.prelude, reclaim, (page) => freed?.('prelude', page)),
      block: new PagePool(sizes.block, reclaim, (page) => freed?.('block', page)),
      coda: new PagePool(sizes.coda, reclaim, (page) => freed?.('coda', page)),
    };
    this.prefixes = prefixCache ? new PrefixCache(this.#pools, pagePositions) : undefined;
  }

  /** Pages of each stack and a share in cached ones, or undefined when one of the pools cannot promise them. */
  reserve(counts: PageCounts, shared: PageSet = NOTHING): Reservations | undefined {
    const made: Partial<Record<Stack, Reservation>> = {};
    for (const stack of STACKS) {
      const reservation = this.#pools[stack].reserve(counts[stack], shared[stack]);
      if (!reservation) {
        for (const earlier of Object.values(made)) earlier.release();
        return undefined;
      }
      made[stack] = reservation;
    }
    return made as Reservations;
  }

  /** Positions of a sequence taking `perPosition` pages of each stack that `pages` could hold. */
  positions(pages: 'free' | 'capacity', perPosition: PageCounts): number {
    const bounds = STACKS.filter((stack) => perPosition[stack] > 0).map((stack) =>
      Math.floor(this.#pools[stack][pages] / perPosition[stack]),
    );
    return Math.min(...bounds) * this.pagePositions;
  }

  /** Pages that the next reservation may ask for. */
  freePages(stack: Stack): number {
    return this.#pools[stack].free;
  }

  /** Pages of all stacks by what they are: used by sequences, cached for the next ones and used by none, or neither. */
  get pageStates(): { readonly used: number; readonly cached: number; readonly free: number } {
    const pools = Object.values(this.#pools);
    const sum = (pick: (pool: PagePool) => number) => pools.reduce((total, pool) => total + pick(pool), 0);
    const [used, cached] = [sum((pool) => pool.used), sum((pool) => pool.idle)];
    return { used, cached, free: sum((pool) => pool.capacity) - used - cached };
  }

  /** @throws Error when a page was lost or counted wrongly, in a pool or in the prefix cache. */
  checkIntegrity(): void {
    for (const stack of STACKS) this.#pools[stack].checkIntegrity();
    this.prefixes?.checkIntegrity();
  }

  /** @throws Error of `checkIntegrity`, or when a page is held by other than the cache though no sequence is here. */
  checkIdle(): void {
    this.checkIntegrity();
    for (const stack of STACKS) {
      const { reserved } = this.#pools[stack];
      if (reserved > 0)
        throw new Error(`${stack} pool: ${reserved} pages are held though no sequence is here`);
    }
  }
}

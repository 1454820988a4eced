import { PagePool, type PoolSizes, type Reservation, type Stack } from '@rondo/engine';

export type PageCounts = Readonly<Record<Stack, number>>;
export type Reservations = Readonly<Record<Stack, Reservation>>;

const STACKS: readonly Stack[] = ['prelude', 'block', 'coda'];

/** The pools of the three stacks, reserved from together: all or nothing. */
export class KvPools {
  readonly pagePositions: number;
  readonly #pools: Readonly<Record<Stack, PagePool>>;

  constructor(sizes: PoolSizes, pagePositions: number) {
    this.pagePositions = pagePositions;
    this.#pools = {
      prelude: new PagePool(sizes.prelude),
      block: new PagePool(sizes.block),
      coda: new PagePool(sizes.coda),
    };
  }

  /** Pages of each stack, or undefined when one of the pools cannot promise them. */
  reserve(counts: PageCounts): Reservations | undefined {
    const made: Partial<Record<Stack, Reservation>> = {};
    for (const stack of STACKS) {
      const reservation = this.#pools[stack].reserve(counts[stack]);
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

  freePages(stack: Stack): number {
    return this.#pools[stack].free;
  }

  /** @throws Error when a page was lost, or is still held though no sequence is here. */
  checkIdle(): void {
    for (const stack of STACKS) {
      this.#pools[stack].checkIntegrity();
      const { reserved } = this.#pools[stack];
      if (reserved > 0)
        throw new Error(`${stack} pool: ${reserved} pages are held though no sequence is here`);
    }
  }
}

import { RondoError } from '@rondo/core';

/** Which pages of one stack's pool are free, and how many sequences hold each of the others. Page 0 is nobody's. */
export class PageBook {
  readonly #free: number[];
  readonly #holders: Uint32Array;

  /** `pages`: size of the pool, the null page included. */
  constructor(pages: number) {
    this.#free = Array.from({ length: pages - 1 }, (_, at) => pages - 1 - at);
    this.#holders = new Uint32Array(pages);
  }

  get free(): number {
    return this.#free.length;
  }

  /** @throws RondoError KV_EXHAUSTED when no page is free. */
  take(): number {
    const page = this.#free.pop();
    if (page === undefined) {
      throw new RondoError('KV_EXHAUSTED', `all ${this.#holders.length - 1} pages are in use`);
    }
    this.#holders[page] = 1;
    return page;
  }

  /** Another sequence holds `page` too. */
  share(page: number): void {
    this.#holders[page]!++;
  }

  /** @returns whether the page is free now. */
  giveBack(page: number): boolean {
    if (--this.#holders[page]! > 0) return false;
    this.#free.push(page);
    return true;
  }
}

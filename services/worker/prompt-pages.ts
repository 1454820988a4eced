import type { CachedPages, PageSet, PrefixCache } from './prefix-cache.ts';

/**
 * One sequence's way along the prefix cache: the pages it shares from the start, and those of its own that it leaves
 * there as they fill. Only full pages before the last prompt token: that row must run, to give logits, and rows behind
 * it may leave the loop early, which makes their K and V a matter of the request's exit rule.
 */
export class PromptPages {
  /** Pages found in the cache. */
  readonly found: number;
  readonly #cache: PrefixCache;
  readonly #ids: readonly number[];
  readonly #limit: number;
  /** What the cache holds along the prompt; behind the found ones these may be another sequence's pages. */
  readonly #chain: CachedPages[];
  #evicted = false;

  constructor(cache: PrefixCache, promptIds: readonly number[], pagePositions: number) {
    this.#cache = cache;
    this.#ids = promptIds;
    this.#limit = Math.floor((promptIds.length - 1) / pagePositions);
    this.#chain = cache.find(promptIds, this.#limit);
    this.found = this.#chain.length;
  }

  /** The found pages, by stack and there by position; those of the block with their depths one after the other. */
  get shared(): PageSet {
    const found = this.#chain.slice(0, this.found);
    return {
      prelude: found.flatMap(({ pages }) => pages.prelude),
      block: found.flatMap(({ pages }) => pages.block),
      coda: found.flatMap(({ pages }) => pages.coda),
    };
  }

  /** Page sets of the prompt that are neither shared nor in the cache yet. */
  get wanting(): boolean {
    return !this.#evicted && this.#chain.length < this.#limit;
  }

  /** The found pages are reserved. */
  hold(): void {
    this.#cache.hold(this.#chain);
  }

  /** The first `full` pages are written at every depth of every stack: leaves them to the cache. */
  filled(full: number, pagesAt: (index: number) => PageSet): void {
    while (this.wanting && this.#chain.length < full) {
      const index = this.#chain.length;
      const cached = this.#cache.add(this.#chain.at(-1), this.#ids, index, pagesAt(index));
      if (cached) this.#chain.push(cached);
      else this.#evicted = true;
    }
  }

  /** All pages of the sequence are released. */
  leave(): void {
    this.#cache.leave(this.#chain);
  }
}

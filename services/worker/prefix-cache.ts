import { type PagePool, STACKS, type Stack } from '@rondo/engine';

/** Pages that hold the same positions of one sequence: one of each depth of each stack that has layers. */
export type PageSet = Readonly<Record<Stack, readonly number[]>>;

/** A page's worth of token ids behind those of `parent`, with the K and V that every stack and depth made of them. */
export interface CachedPages {
  readonly parent: CachedPages | undefined;
  readonly key: string;
  readonly pages: PageSet;
  readonly children: Map<string, CachedPages>;
  /** False once evicted: nothing may be added behind it. */
  cached: boolean;
}

/**
 * Full pages of prompts, for later prompts that begin the same way: a tree with the ids of one page on each edge. The
 * ids themselves are the key, along the whole path, so no two prompts can be taken for one another. Pages that nobody
 * uses stay until a pool has promised them elsewhere; then the longest unused go first, the end of a prompt before its
 * beginning.
 */
export class PrefixCache {
  readonly #pools: Readonly<Record<Stack, PagePool>>;
  readonly #pagePositions: number;
  readonly #roots = new Map<string, CachedPages>();
  /** Those that nobody uses, longest unused first. */
  readonly #idle = new Set<CachedPages>();

  constructor(pools: Readonly<Record<Stack, PagePool>>, pagePositions: number) {
    this.#pools = pools;
    this.#pagePositions = pagePositions;
  }

  /** The longest cached beginning of `ids`, at most `limit` pages. Nothing is held by it yet. */
  find(ids: readonly number[], limit: number): CachedPages[] {
    const chain: CachedPages[] = [];
    while (chain.length < limit) {
      const next = this.#childrenOf(chain.at(-1)).get(this.#key(ids, chain.length));
      if (!next) break;
      chain.push(next);
    }
    return chain;
  }

  /** A sequence has reserved a share in these pages. */
  hold(chain: readonly CachedPages[]): void {
    for (const cached of chain) this.#idle.delete(cached);
  }

  /**
   * Takes in page `index` of a prompt, whose pages before it are those behind `parent`. Whoever comes second with the
   * same ids keeps its own pages to itself. @returns what the cache holds for these ids; undefined when `parent` has
   * been evicted, and with it the way to find them.
   */
  add(
    parent: CachedPages | undefined,
    ids: readonly number[],
    index: number,
    pages: PageSet,
  ): CachedPages | undefined {
    if (parent && !parent.cached) return undefined;
    const siblings = this.#childrenOf(parent);
    const key = this.#key(ids, index);
    const present = siblings.get(key);
    if (present) return present;
    const added: CachedPages = { parent, key, pages, children: new Map(), cached: true };
    siblings.set(key, added);
    for (const stack of STACKS) for (const page of pages[stack]) this.#pools[stack].cache(page);
    return added;
  }

  /** A sequence that came along this chain has released its pages. */
  leave(chain: readonly CachedPages[]): void {
    // From the tail, so that what has been unused longest is an end of the tree and goes without a search for one.
    for (const cached of chain.toReversed()) {
      if (!cached.cached || !this.#isIdle(cached)) continue;
      this.#idle.delete(cached);
      this.#idle.add(cached);
    }
  }

  /** Evicts one page set in favour of a pool that is short; false when nothing is left that is not used. */
  evict(): boolean {
    let victim = firstOf(this.#idle.values());
    if (!victim) return false;
    // A sequence that keeps its own copy of the victim may have added pages behind it: they cannot be found without it.
    while (victim.children.size > 0) victim = firstOf(victim.children.values())!;
    victim.cached = false;
    this.#idle.delete(victim);
    this.#childrenOf(victim.parent).delete(victim.key);
    for (const stack of STACKS) for (const page of victim.pages[stack]) this.#pools[stack].uncache(page);
    return true;
  }

  /** @throws Error when the tree, the idle ones or the pools' idle pages disagree: a bug in the bookkeeping. */
  checkIntegrity(): void {
    const idlePages: Record<Stack, number> = { prelude: 0, block: 0, coda: 0 };
    let idle = 0;
    const open = [...this.#roots.values()];
    for (let cached = open.pop(); cached; cached = open.pop()) {
      if (!cached.cached) throw new Error('prefix cache: an evicted page set can still be found');
      open.push(...cached.children.values());
      const isIdle = this.#isIdle(cached);
      if (isIdle !== this.#idle.has(cached))
        throw new Error(`prefix cache: a page set is ${isIdle ? 'idle' : 'used'} and listed as the contrary`);
      if (!isIdle) continue;
      idle++;
      for (const stack of STACKS) idlePages[stack] += cached.pages[stack].length;
    }
    if (idle !== this.#idle.size)
      throw new Error(`prefix cache: ${this.#idle.size} page sets listed as idle, ${idle} found`);
    for (const stack of STACKS) {
      if (idlePages[stack] !== this.#pools[stack].idle)
        throw new Error(
          `prefix cache: ${idlePages[stack]} idle pages in the ${stack}, its pool has ${this.#pools[stack].idle}`,
        );
    }
  }

  /** All pages of a set have the same users: whoever reserves one reserves and releases them all. */
  #isIdle({ pages }: CachedPages): boolean {
    return this.#pools.block.users(pages.block[0]!) === 0;
  }

  #childrenOf(cached: CachedPages | undefined): Map<string, CachedPages> {
    return cached?.children ?? this.#roots;
  }

  #key(ids: readonly number[], index: number): string {
    return ids.slice(index * this.#pagePositions, (index + 1) * this.#pagePositions).join();
  }
}

const firstOf = <T>(values: Iterator<T, undefined>): T | undefined => values.next().value;

import type { Manifest } from '@rondo/bundle';
import { STACKS, type Stack } from '@rondo/engine';

/** Positions that lie in pages, at every depth. Made and released by `Sequences` alone. */
export interface Sequence {
  readonly length: number;
}

/** A sequence and its page tables: one for each stack and depth. */
export class PagedSequence implements Sequence {
  length = 0;
  readonly #maxDepth: number;
  readonly #tables = new Map<string, number[]>();

  constructor({ maxDepth }: Manifest) {
    this.#maxDepth = maxDepth;
  }

  table(stack: Stack, depth: number): number[] {
    const key = `${stack} ${depth}`;
    const table = this.#tables.get(key) ?? [];
    this.#tables.set(key, table);
    return table;
  }

  *tables(): Generator<{ stack: Stack; depth: number; pages: number[] }> {
    for (const stack of STACKS) {
      for (let depth = 0; depth < this.#maxDepth; depth++) {
        const pages = this.#tables.get(`${stack} ${depth}`)?.filter((page) => page !== 0) ?? [];
        if (pages.length > 0) yield { stack, depth, pages };
      }
    }
  }
}

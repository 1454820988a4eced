import type { Address } from '@rondo/core';
import type { Announcement, Roster, Rosters } from './roster.ts';

/**
 * Workers whose addresses are known beforehand and that are always expected. What each holds is seen when it is asked:
 * until then all count as holders of the first bundle.
 */
export class GivenWorkers implements Rosters {
  readonly #digests: readonly string[];
  readonly #holds: Map<Address, string>;
  readonly #listeners = new Set<() => void>();

  /** `digests`: of the bundles that are served, at least one. */
  constructor(addresses: readonly Address[], digests: readonly string[]) {
    this.#digests = digests;
    this.#holds = new Map(addresses.map((address) => [address, digests[0]!]));
  }

  of(digest: string): Roster {
    return {
      subscribe: (listener) => {
        const tell = () => listener(this.#holders(digest));
        this.#listeners.add(tell);
        tell();
        return () => void this.#listeners.delete(tell);
      },
    };
  }

  /** The bundle that the worker at `address` counts as a holder of. */
  digestOf(address: Address): string | undefined {
    return this.#holds.get(address);
  }

  /** The worker at `address` was asked and holds `digest`: from now on it is announced as a holder of that, if that is served. */
  found(address: Address, digest: string): void {
    const held = this.#holds.get(address);
    if (held === undefined || held === digest || !this.#digests.includes(digest)) return;
    this.#holds.set(address, digest);
    for (const tell of [...this.#listeners]) tell();
  }

  #holders(digest: string): Announcement[] {
    return [...this.#holds]
      .filter(([, held]) => held === digest)
      .map(([address]) => ({ address, state: 'serving' }));
  }
}

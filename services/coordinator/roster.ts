import type { Address, WorkerId } from '@rondo/core';

/** A worker that says, or of whom it is said, that it is there. A hint: what is true its link finds out. */
export interface Announcement {
  readonly address: Address;
  readonly workerId?: WorkerId | undefined;
  readonly state: 'serving' | 'draining';
}

/** Who is said to be a worker of this cluster. */
export interface Roster {
  /** Calls `listener` with all who are announced, soon and again after every change. Returns how to stop that. */
  subscribe(listener: (announced: readonly Announcement[]) => void): () => void;
}

/** Workers whose addresses are known beforehand and that are always expected. */
export const fixedRoster = (addresses: readonly Address[]): Roster => ({
  subscribe(listener) {
    listener(addresses.map((address) => ({ address, state: 'serving' })));
    return () => {};
  },
});

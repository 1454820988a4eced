import type { Address, WorkerId } from '@rondo/core';
import type { NatsState } from '@rondo/wire';

/** A worker that says, or of whom it is said, that it is there. A hint: what is true its link finds out. */
export interface Announcement {
  readonly address: Address;
  readonly workerId?: WorkerId | undefined;
  readonly state: 'serving' | 'draining';
}

/** What /health says of a roster that others write. */
export interface RosterHealth {
  readonly nats: NatsState;
  readonly announced: number;
  /** Announced workers that hold a bundle which is not served here; they are left alone. */
  readonly mismatched: readonly { readonly id: string; readonly address: string; readonly bundle: string }[];
}

/** Who is said to be a worker of one bundle. */
export interface Roster {
  /** Calls `listener` with all who are announced, soon and again after every change. Returns how to stop that. */
  subscribe(listener: (announced: readonly Announcement[]) => void): () => void;
}

/** Who is said to be a worker of which bundle. */
export interface Rosters {
  /** The holders of the bundle with this digest. */
  of(digest: string): Roster;
  /** How the rosters themselves are, where that can change. */
  health?(): RosterHealth;
}

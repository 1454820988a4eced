import { passesIn, RondoError, type Route, type WorkerId } from '@rondo/core';
import type { WorkerView } from './placement.ts';
import type { WorkerLink } from './worker-link.ts';

export interface Booking {
  /** The worker has accepted. */
  opened(): void;
  /** Gives everything back. Call once, however the sequence ended. */
  end(): void;
}

/** The workers this coordinator places sequences on, and what its open sequences hold there. */
export class Membership {
  readonly links: readonly WorkerLink[];
  readonly #maxDepth: number;
  /** Positions × depths, so that booking and releasing cancel out exactly. */
  readonly #reserved = new Map<WorkerId, number>();
  #booked = 0;
  #ended = 0;
  #nextEnd = Promise.withResolvers<void>();

  /** @throws RondoError CONFIG_INVALID when two addresses lead to one worker. */
  constructor(links: readonly WorkerLink[], maxDepth: number) {
    for (const [index, link] of links.entries()) {
      const twin = links.slice(0, index).find((other) => other.worker.id === link.worker.id);
      if (twin !== undefined) {
        throw new RondoError(
          'CONFIG_INVALID',
          `worker ${link.worker.id} is listed twice: as ${twin.worker.address} and as ${link.worker.address}`,
        );
      }
      this.#reserved.set(link.worker.id, 0);
    }
    this.links = links;
    this.#maxDepth = maxDepth;
  }

  view(): WorkerView[] {
    return this.links.map(({ worker }) => ({
      worker,
      reservedPositions: (this.#reserved.get(worker.id) ?? 0) / this.#maxDepth,
    }));
  }

  link(id: WorkerId): WorkerLink {
    const link = this.links.find(({ worker }) => worker.id === id);
    if (link === undefined) throw new RondoError('NO_WORKER', `worker ${id} is not a member`);
    return link;
  }

  /** Sequences that hold positions here or are about to. */
  get booked(): number {
    return this.#booked;
  }

  /** How many opened sequences have ended so far. */
  get ended(): number {
    return this.#ended;
  }

  /** Books `positions` on the workers of `route`, each for its share of the depths, before they are asked for. */
  book(route: Route, positions: number): Booking {
    this.#add(route, positions);
    this.#booked++;
    let opened = false;
    return {
      opened: () => {
        opened = true;
      },
      end: () => {
        this.#add(route, -positions);
        this.#booked--;
        if (opened) this.#ended++;
        this.#nextEnd.resolve();
        this.#nextEnd = Promise.withResolvers();
      },
    };
  }

  /** Resolves when the next booking ends. */
  nextEnd(): Promise<void> {
    return this.#nextEnd.promise;
  }

  close(): void {
    for (const { client } of this.links) client.close();
  }

  #add(route: Route, positions: number): void {
    for (const { worker, depths } of route.stages) {
      const held = this.#reserved.get(worker.id) ?? 0;
      this.#reserved.set(worker.id, held + positions * passesIn(depths));
    }
  }
}

import { type Address, passesIn, RondoError, type Route, systemClock, type WorkerId } from '@rondo/core';
import type { WorkerView } from './placement.ts';
import { type Distrust, Reputations } from './reputations.ts';
import type { Roster } from './roster.ts';
import type { Movement } from './stuck-policy.ts';
import { type LinkedWorker, type LinkHooks, type LinkOptions, WorkerLink } from './worker-link.ts';

export interface Booking {
  /** The worker has accepted. */
  opened(): void;
  /** Gives everything back. Call once, however the sequence ended. */
  end(): void;
}

/** The workers this coordinator places sequences on, and what its open sequences hold there. */
export class Membership {
  readonly #options: LinkOptions;
  readonly #maxDepth: number;
  readonly #links = new Map<Address, WorkerLink>();
  /** Whom each roster announces; what none does is not looked for any more once it is lost. */
  readonly #announced = new Map<Roster, ReadonlySet<Address>>();
  readonly #unsubscribe: (() => void)[] = [];
  /** Positions × depths, so that booking and releasing cancel out exactly. */
  readonly #reserved = new Map<WorkerId, number>();
  readonly #sequences = new Map<WorkerId, number>();
  readonly #homes = new Map<WorkerId, number>();
  /** Asked for every token, hence kept. */
  #draining: ReadonlySet<WorkerId> = new Set();
  readonly #listeners = new Set<() => void>();
  readonly #watchers = new Set<(movement: Movement) => void>();
  readonly #hooks: LinkHooks = {
    changed: () => this.#change(),
    moved: (movement) => {
      for (const watcher of this.#watchers) watcher(movement);
    },
  };
  #booked = 0;
  #ended = 0;
  #news = 0;
  #nextChange = Promise.withResolvers<void>();

  readonly #reputations: Reputations;

  /** `distrusted` is told how many workers are not trusted as others are. */
  constructor(options: LinkOptions, maxDepth: number, distrusted: (workers: number) => void = () => {}) {
    this.#options = options;
    this.#maxDepth = maxDepth;
    this.#reputations = new Reputations(options.clock ?? systemClock, distrusted);
  }

  /** Links every worker that `roster` announces, now and later, each for as long as it can be reached. */
  follow(roster: Roster): void {
    const listen = roster.subscribe((announced) => {
      this.#announced.set(roster, new Set(announced.map(({ address }) => address)));
      this.#relink();
    });
    this.#unsubscribe.push(listen);
  }

  /**
   * Waits until the workers at `addresses` have joined.
   * @throws RondoError of the first that cannot be worked with, or CONFIG_INVALID when two addresses lead to one worker.
   */
  async joined(addresses: readonly Address[], withinMs: number): Promise<void> {
    await Promise.all(addresses.map((address) => this.#links.get(address)?.joined(withinMs)));
    for (const [index, address] of addresses.entries()) {
      const id = this.#links.get(address)?.linked?.worker.id;
      const twin = addresses
        .slice(0, index)
        .find((other) => this.#links.get(other)?.linked?.worker.id === id);
      if (id !== undefined && twin !== undefined) {
        throw new RondoError('CONFIG_INVALID', `worker ${id} is listed twice: as ${twin} and as ${address}`);
      }
    }
  }

  get links(): WorkerLink[] {
    return [...this.#links.values()];
  }

  /** The workers that can be talked to, each once, with what this coordinator holds there. */
  view(): WorkerView[] {
    return [...this.#members()].map(([id, { link, linked }]) => ({
      worker: linked.worker,
      state: link.open ? 'serving' : link.suspected ? 'suspected' : 'draining',
      reservedPositions: (this.#reserved.get(id) ?? 0) / this.#maxDepth,
      // Its last pulse may not know yet what was opened there since.
      sequences: Math.max(linked.load.sequences, this.#sequences.get(id) ?? 0),
      homes: this.#homes.get(id) ?? 0,
      freePositions: linked.load.freePositions,
      totalPositions: linked.load.totalPositions,
      stepMs: linked.load.stepMs,
      hopMs: linked.load.hopMs,
    }));
  }

  /** @throws RondoError WORKER_LOST when it has gone meanwhile. */
  worker(id: WorkerId): LinkedWorker {
    const member = this.#members().get(id);
    if (member === undefined) throw new RondoError('WORKER_LOST', `worker ${id} has gone`);
    return member.linked;
  }

  /** How far the clock of that worker is behind this one's, in milliseconds, as far as is known. */
  behindMs(id: WorkerId): number {
    return this.links.find(({ known }) => known?.worker.id === id)?.behindMs ?? 0;
  }

  /** A sequence was lost on this worker, by `error` where that is known: nothing new goes there before its next pulse. */
  suspect(id: WorkerId, error?: RondoError): void {
    this.#members().get(id)?.link.suspect();
    if (error?.code !== 'WORKER_FAULTY' && error?.code !== 'WORKER_STUCK') return;
    this.#options.log.warn({ worker: id, code: error.code }, error.message);
  }

  /** This worker, and no other, said what it must not: it is given nothing new for a while. */
  contradicted(id: WorkerId): void {
    this.#reputations.contradicted(id);
    this.#options.log.warn({ worker: id, ...this.distrust(id) }, 'worker is shunned');
  }

  /** A sequence that lived on this worker has ended well. */
  behaved(id: WorkerId): void {
    this.#reputations.behaved(id);
  }

  /** What tells against a worker; undefined for one that is trusted. */
  distrust(id: WorkerId): Distrust | undefined {
    return this.#reputations.of(id);
  }

  /** Workers to be given nothing new now while there are others. */
  get shunned(): ReadonlySet<WorkerId> {
    return this.#reputations.shunned((id) => this.#sequences.get(id) ?? 0);
  }

  /** Whether the worker has been heard of since it was last suspected. */
  lives(id: WorkerId): boolean {
    return this.#members().get(id)?.link.suspected === false;
  }

  /** Whether a worker of this route is about to leave. */
  drains(route: Route): boolean {
    if (this.#draining.size === 0) return false;
    return [route.home, ...route.stages.map(({ worker }) => worker)].some(({ id }) => this.#draining.has(id));
  }

  /** Calls `listener` whenever workers come, go or change their state, until the returned function is called. */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Calls `watcher` at every pulse of a worker, those of one that hangs too, until the returned function is called. */
  onPulse(watcher: (movement: Movement) => void): () => void {
    this.#watchers.add(watcher);
    return () => this.#watchers.delete(watcher);
  }

  /** Sequences that hold positions here or are about to. */
  get booked(): number {
    return this.#booked;
  }

  /** How many opened sequences have ended so far. */
  get ended(): number {
    return this.#ended;
  }

  /** Rises with whatever can help a sequence that found no room: one that ran has ended, or something changed at a worker. */
  get news(): number {
    return this.#news;
  }

  /** Books `positions` on the workers of `route`, each for its share of the depths, before they are asked for. */
  book(route: Route, positions: number): Booking {
    this.#add(route, positions);
    this.#count(route, 1);
    this.#booked++;
    let opened = false;
    return {
      opened: () => {
        opened = true;
      },
      end: () => {
        this.#add(route, -positions);
        this.#count(route, -1);
        this.#booked--;
        if (opened) {
          this.#ended++;
          this.#news++;
        }
        this.#wake();
      },
    };
  }

  /** Resolves when the next booking ends, or a worker comes, goes or changes its state. */
  nextChange(): Promise<void> {
    return this.#nextChange.promise;
  }

  close(): void {
    for (const unsubscribe of this.#unsubscribe) unsubscribe();
    for (const link of this.#links.values()) link.close();
  }

  #relink(): void {
    const wanted = new Set([...this.#announced.values()].flatMap((addresses) => [...addresses]));
    for (const address of wanted) {
      const link = this.#links.get(address);
      if (link === undefined || link.over) {
        this.#links.set(address, new WorkerLink(address, this.#options, this.#hooks));
      }
    }
    for (const [address, link] of this.#links) {
      link.want(wanted.has(address));
      // Whoever is still there goes on: that nobody announces it may be the announcers' trouble.
      if (!wanted.has(address) && link.linked === undefined) {
        link.close();
        this.#links.delete(address);
      }
    }
  }

  /** Two addresses may lead to one worker: the first counts. */
  #members(): Map<WorkerId, { link: WorkerLink; linked: LinkedWorker }> {
    const members = new Map<WorkerId, { link: WorkerLink; linked: LinkedWorker }>();
    for (const link of this.#links.values()) {
      const { linked } = link;
      if (linked && !members.has(linked.worker.id)) members.set(linked.worker.id, { link, linked });
    }
    return members;
  }

  #change(): void {
    for (const [address, link] of this.#links) if (link.over) this.#links.delete(address);
    this.#reputations.keep(new Set(this.links.flatMap(({ known }) => known?.worker.id ?? [])));
    const members = [...this.#members()];
    this.#news++;
    this.#draining = new Set(members.flatMap(([id, { link }]) => (link.state === 'draining' ? [id] : [])));
    for (const listener of this.#listeners) listener();
    this.#wake();
  }

  #wake(): void {
    this.#nextChange.resolve();
    this.#nextChange = Promise.withResolvers();
  }

  #count(route: Route, change: number): void {
    const there = new Set([route.home.id, ...route.stages.map(({ worker }) => worker.id)]);
    for (const id of there) add(this.#sequences, id, change);
    add(this.#homes, route.home.id, change);
  }

  #add(route: Route, positions: number): void {
    for (const { worker, depths } of route.stages)
      add(this.#reserved, worker.id, positions * passesIn(depths));
  }
}

/** Workers come and go: nothing is kept of one that holds nothing. */
function add(held: Map<WorkerId, number>, id: WorkerId, change: number): void {
  const sum = (held.get(id) ?? 0) + change;
  if (sum === 0) held.delete(id);
  else held.set(id, sum);
}

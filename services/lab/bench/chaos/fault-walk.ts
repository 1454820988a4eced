import { RandomStream } from '../../load/random-stream.ts';

/**
 * What is done to the cluster. Faults: `kill` -9, `stop` (SIGSTOP), `cut` (no byte passes, no connection ends), `drop` (all
 * connections reset), `reset` (one HTTP/2 stream reset), `drain` (SIGTERM), `join` (a worker where none was before) and
 * `nats` (its server killed and started again). What ends one: `restart` at the same address, `continue`, `heal`.
 */
export type Action = Fault | 'restart' | 'continue' | 'heal';

export const FAULTS = ['kill', 'stop', 'cut', 'drop', 'reset', 'drain', 'join', 'nats'] as const;
export type Fault = (typeof FAULTS)[number];

export const isFault = (action: Action): action is Fault => (FAULTS as readonly string[]).includes(action);

/** A place for a worker, with an address that stays the same. */
export type SlotState = 'empty' | 'serving' | 'stopped' | 'cut' | 'gone';

export interface Step {
  readonly action: Action;
  /** The slot it is done to; for `nats` none. */
  readonly slot: number;
  /** Time since the step before, as a multiple of the mean. */
  readonly gap: number;
}

export interface WalkOptions {
  readonly seed: number;
  /** Workers at the start, in the first slots. */
  readonly workers: number;
  /** Slots that are empty at the start. */
  readonly spares: number;
  /** Serving workers that each step leaves at least: 1, or 0 to see how a cluster without workers answers. */
  readonly least: number;
  /** Workers announce themselves: a new one may come at an address that nobody knew, in place of one that left for good. */
  readonly nats: boolean;
}

/** How likely each fault is against the others, when it is possible. */
const WEIGHTS: Readonly<Record<Fault, number>> = {
  ...{ kill: 6, stop: 4, cut: 4, drop: 3, reset: 4, drain: 4, join: 3, nats: 1 },
};

/** What undoes a state. */
const MENDS = { stopped: 'continue', cut: 'heal', gone: 'restart', empty: 'join' } as const;

const AFTER: Readonly<Record<Action, SlotState>> = {
  ...{ kill: 'gone', drain: 'gone', stop: 'stopped', cut: 'cut' },
  ...{ drop: 'serving', reset: 'serving', join: 'serving', nats: 'serving' },
  ...{ restart: 'serving', continue: 'serving', heal: 'serving' },
};

/**
 * An endless walk of faults and of what ends them; the same seed gives the same walk. Each step, in this order:
 * 1. no worker to spare: one that is away comes back;
 * 2. the more are away, the likelier one comes back;
 * 3. else a fault that leaves `least` workers serving, by its weight, to a slot that it can be done to.
 */
export function* faultWalk(options: WalkOptions): Generator<Step, never, undefined> {
  const draws = new RandomStream(options.seed);
  const slots: SlotState[] = [
    ...Array.from({ length: options.workers }, (): SlotState => 'serving'),
    ...Array.from({ length: options.spares }, (): SlotState => 'empty'),
  ];
  for (;;) {
    const { action, slot } = nextStep(slots, options, draws);
    if (action !== 'nats') slots[slot] = options.nats && action === 'drain' ? 'empty' : AFTER[action];
    // A pause after most steps, none after some: faults also come together.
    yield { action, slot, gap: draws.exponential(1) };
  }
}

/** One step from `slots`. Of the draws it takes two or three. */
export function nextStep(
  slots: readonly SlotState[],
  { workers, least, nats }: Pick<WalkOptions, 'workers' | 'least' | 'nats'>,
  draws: RandomStream,
): Pick<Step, 'action' | 'slot'> {
  const among = (choices: readonly number[]) => choices[draws.whole(0, choices.length - 1)]!;
  const where = (...states: SlotState[]) =>
    slots.flatMap((state, slot) => (states.includes(state) ? [slot] : []));
  const few = nats && slots.length - where('empty').length < workers;
  const away = where('stopped', 'cut', 'gone', ...(few ? (['empty'] as const) : []));
  const spare = where('serving').length - least;
  const comesBack = draws.next() < away.length / slots.length;
  if (away.length > 0 && (spare < 1 || comesBack)) {
    const slot = among(away);
    return { action: MENDS[slots[slot] as keyof typeof MENDS], slot };
  }
  const targets: Readonly<Record<Fault, readonly number[]>> = {
    // A frozen or unreachable process can die as well.
    kill: [...(spare > 0 ? where('serving') : []), ...where('stopped', 'cut')],
    ...{ stop: spare > 0 ? where('serving') : [], cut: spare > 0 ? where('serving') : [] },
    ...{ drain: spare > 0 ? where('serving') : [], drop: where('serving'), reset: where('serving') },
    ...{ join: where('empty'), nats: nats ? [-1] : [] },
  };
  // One ticket for each unit of weight.
  const tickets = FAULTS.flatMap((fault) =>
    targets[fault].length > 0 ? Array.from({ length: WEIGHTS[fault] }, () => fault) : [],
  );
  const action = tickets[draws.whole(0, tickets.length - 1)]!;
  return { action, slot: among(targets[action]) };
}

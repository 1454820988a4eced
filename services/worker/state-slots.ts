import type { Stack, StatePlaces } from '@rondo/engine';
import { type Chunk, slotsOf } from './chunk.ts';
import type { Inbox } from './inbox.ts';
import { staysHere, type Whereabouts } from './itinerary.ts';

/**
 * Slots of the engine's device in which states lie between two runs. Nobody gives one back: between runs all states are those of
 * chunks in the inbox, so that what none of them names is free, however its last chunk ended.
 */
export class StateSlots {
  readonly #capacity: number;
  readonly #inbox: Pick<Inbox, 'waiting'>;
  readonly #where: Whereabouts;

  constructor(capacity: number, inbox: Pick<Inbox, 'waiting'>, where: Whereabouts) {
    this.#capacity = capacity;
    this.#inbox = inbox;
    this.#where = where;
  }

  /**
   * Where the rows of a run come from and go to: those of a chunk into the lowest slots that are free, if it stays here whatever the
   * run says and there are enough, else to the host.
   */
  places(stack: Stack, chunks: readonly Chunk[]): StatePlaces {
    const taken = this.#taken(chunks);
    const from: number[] = [];
    const to: number[] = [];
    let lowest = 0;
    let free = this.#capacity - taken.size;
    let slots = Math.max(0, ...taken);
    for (const chunk of chunks) {
      const held = slotsOf(chunk);
      const stays = chunk.rows <= free && staysHere(this.#where, stack, chunk);
      if (stays) free -= chunk.rows;
      for (let row = 0; row < chunk.rows; row++) {
        from.push(held?.[row] ?? -1);
        while (stays && taken.has(lowest)) lowest++;
        if (stays) slots = Math.max(slots, lowest);
        to.push(stays ? lowest++ : -1);
      }
    }
    return { from: Int32Array.from(from), to: Int32Array.from(to), slots: slots + 1 };
  }

  /** A run reads the states of its own chunks before it writes, but what a row may return to it must leave alone. */
  #taken(chunks: readonly Chunk[]): Set<number> {
    const taken = new Set<number>();
    const take = (slots: Chunk['input'] | undefined): void => {
      if (slots instanceof Int32Array) for (const slot of slots) taken.add(slot);
    };
    for (const chunk of this.#inbox.waiting()) {
      take(slotsOf(chunk));
      take(chunk.undecided);
    }
    for (const chunk of chunks) take(chunk.undecided);
    return taken;
  }
}

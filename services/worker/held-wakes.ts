/**
 * Wakes readers of events, or holds them back until the engine is busy: what a reader does with an event, encoding and sending it, takes the
 * thread that is to start the engine's next run.
 */
export class HeldWakes {
  #held = false;
  readonly #due = new Set<() => void>();

  /** Wakes a reader, when it is time. */
  wake(reader: () => void): void {
    if (this.#held) this.#due.add(reader);
    else reader();
  }

  hold(): void {
    this.#held = true;
  }

  /** Wakes whom `hold` has held back, once each. */
  release(): void {
    this.#held = false;
    const due = [...this.#due];
    this.#due.clear();
    for (const reader of due) reader();
  }
}

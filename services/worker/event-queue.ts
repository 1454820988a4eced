/**
 * Events from the step, which never waits, to one reader, which may be slow. Unbounded on purpose: a sequence makes at
 * most its max_tokens small events.
 */
export class EventQueue<Event> implements AsyncIterable<Event> {
  readonly #events: Event[] = [];
  readonly #wakeWhenDue: (reader: () => void) => void;
  readonly #reader = () => this.#wake();
  #ended: { readonly error?: Error } | undefined;
  #wake: () => void = () => {};

  /** `wakeWhenDue` calls back, now or later, when there is something to read; by default at once. */
  constructor(wakeWhenDue: (reader: () => void) => void = (reader) => reader()) {
    this.#wakeWhenDue = wakeWhenDue;
  }

  /** Appends an event; after the end it is dropped. */
  push(event: Event): void {
    if (this.#ended) return;
    this.#events.push(event);
    this.#wakeWhenDue(this.#reader);
  }

  /** Ends the queue after the events it holds; with an error, reading throws it then, and nobody waits to be told. */
  end(error?: Error): void {
    this.#ended ??= error ? { error } : {};
    if (error) this.#wake();
    else this.#wakeWhenDue(this.#reader);
  }

  async *[Symbol.asyncIterator](): AsyncIterator<Event> {
    for (;;) {
      while (this.#events.length > 0) yield this.#events.shift()!;
      if (this.#ended?.error) throw this.#ended.error;
      if (this.#ended) return;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }
}

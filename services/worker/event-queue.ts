/**
 * Events from the step, which never waits, to one reader, which may be slow. Unbounded on purpose: a sequence makes at
 * most its max_tokens small events.
 */
export class EventQueue<Event> implements AsyncIterable<Event> {
  readonly #events: Event[] = [];
  #ended: { readonly error?: Error } | undefined;
  #wake: () => void = () => {};

  /** Appends an event; after the end it is dropped. */
  push(event: Event): void {
    if (this.#ended) return;
    this.#events.push(event);
    this.#wake();
  }

  /** Ends the queue after the events it holds; with an error, reading throws it then. */
  end(error?: Error): void {
    this.#ended ??= error ? { error } : {};
    this.#wake();
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

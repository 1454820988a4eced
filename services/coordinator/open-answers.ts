import type { ServerResponse } from 'node:http';

/** Answers that have begun and not yet left: a door that closes waits for them. */
export class OpenAnswers {
  #count = 0;
  #ended = (): void => {};

  /** Call before anything is awaited, so that its end is not missed. */
  add(answer: ServerResponse): void {
    this.#count++;
    answer.once('close', () => {
      this.#count--;
      if (this.#count === 0) this.#ended();
    });
  }

  /** Resolves once there is none, or after `ms` milliseconds. */
  async ended(ms: number): Promise<void> {
    if (this.#count === 0) return;
    await new Promise<void>((resolve) => {
      const late = setTimeout(resolve, ms);
      this.#ended = () => {
        clearTimeout(late);
        resolve();
      };
    });
  }
}

/** What a stretch of text turned into once stop strings were looked for. */
export interface StopScan {
  /** Text that is certain to come before any stop string. */
  readonly text: string;
  readonly stopped: boolean;
}

/** Looks for stop strings in text that arrives in pieces; holds back whatever could still become one. */
export class StopStrings {
  readonly #stops: readonly string[];
  #held = '';

  /** No stop may be empty. */
  constructor(stops: readonly string[]) {
    this.#stops = stops;
  }

  push(piece: string): StopScan {
    const text = this.#held + piece;
    const cut = firstComplete(text, this.#stops);
    if (cut !== undefined) {
      this.#held = '';
      return { text: text.slice(0, cut), stopped: true };
    }
    const keep = longestOpening(text, this.#stops);
    this.#held = text.slice(text.length - keep);
    return { text: text.slice(0, text.length - keep), stopped: false };
  }

  /** The held text, once no more can come. */
  end(): string {
    const text = this.#held;
    this.#held = '';
    return text;
  }
}

/** Where the stop string that is complete first begins: the same place however the text was cut into pieces. */
function firstComplete(text: string, stops: readonly string[]): number | undefined {
  let cut: number | undefined;
  let cutEnd = Number.POSITIVE_INFINITY;
  for (const stop of stops) {
    const start = text.indexOf(stop);
    const end = start + stop.length;
    if (start < 0 || end > cutEnd || (end === cutEnd && start >= cut!)) continue;
    cut = start;
    cutEnd = end;
  }
  return cut;
}

/** Length of the longest end of `text` that some stop string begins with. */
function longestOpening(text: string, stops: readonly string[]): number {
  let longest = 0;
  for (const stop of stops) {
    for (let length = Math.min(stop.length - 1, text.length); length > longest; length--) {
      if (text.endsWith(stop.slice(0, length))) longest = length;
    }
  }
  return longest;
}

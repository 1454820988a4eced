import type { TextCodec } from './text.ts';

/** Turns a growing sequence of token ids into text, never giving out half a character. */
export class Detokenizer {
  readonly #codec: TextCodec;
  readonly #decoder = new TextDecoder('utf-8', { ignoreBOM: true });

  constructor(codec: TextCodec) {
    this.#codec = codec;
  }

  /** The text that token `id` completes; '' while a character is still open. */
  push(id: number): string {
    return this.#decoder.decode(this.#codec.textBytes(id), { stream: true });
  }

  /** What remains at the end: U+FFFD for a character that never was completed, else ''. */
  end(): string {
    return this.#decoder.decode();
  }
}

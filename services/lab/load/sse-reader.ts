import type { RequestRecord } from './request-record.ts';

/** The parts of a streamed completion that are measured. */
interface Chunk {
  readonly choices?: readonly { readonly finish_reason: string | null }[];
  readonly usage?: { readonly completion_tokens: number; readonly passes: RequestRecord['passes'] } | null;
  readonly error?: { readonly message: string };
}

/**
 * Reads the server-sent events of a streamed completion as they come in. A chunk whose choice has not finished brings
 * one token: the server sends one for each, even when a character is still incomplete.
 */
export class SseReader {
  readonly tokenMs: number[] = [];
  usage: NonNullable<Chunk['usage']> | undefined;
  error: string | undefined;
  /** Whether `[DONE]` came. */
  done = false;
  readonly #onChunk: ((chunk: object) => void) | undefined;
  #rest = '';

  /** `onChunk` is shown each chunk as it comes, for whoever wants more of it than this class keeps. */
  constructor(onChunk?: (chunk: object) => void) {
    this.#onChunk = onChunk;
  }

  push(text: string, nowMs: number): void {
    const all = this.#rest + text;
    let start = 0;
    for (let end = all.indexOf('\n\n'); end >= 0; end = all.indexOf('\n\n', start)) {
      if (all.startsWith('data: ', start)) this.#event(all.slice(start + 'data: '.length, end), nowMs);
      start = end + 2;
    }
    this.#rest = all.slice(start);
  }

  #event(data: string, nowMs: number): void {
    if (data === '[DONE]') {
      this.done = true;
      return;
    }
    const chunk = JSON.parse(data) as Chunk;
    this.#onChunk?.(chunk);
    if (chunk.error) this.error = chunk.error.message;
    if (chunk.usage) this.usage = chunk.usage;
    if (chunk.choices?.[0]?.finish_reason === null) this.tokenMs.push(nowMs);
  }
}

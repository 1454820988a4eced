import assert from 'node:assert/strict';

interface Chunk {
  readonly error?: object;
  readonly choices?: readonly {
    readonly index: number;
    readonly text: string;
    readonly token_ids?: readonly number[];
    readonly logprobs: { readonly token_logprobs: readonly (number | null)[] } | null;
    readonly finish_reason: string | null;
  }[];
}

/** What a client was told of one choice. */
export interface Told {
  text: string;
  readonly ids: number[];
  readonly logprobs: (number | null)[];
  finish: string | null;
}

/** A streamed completion as a client sees it, chunk by chunk. */
export class ToldStream {
  readonly choices: Told[] = [];
  /** The error event, when there was one. */
  error: object | undefined;
  /** Resolves when the stream has ended, however it did. */
  readonly ended: Promise<void>;
  #changed = Promise.withResolvers<void>();
  #over = false;

  constructor(url: string, body: object) {
    this.ended = this.#read(url, body)
      .catch((cause: unknown) => {
        const said = this.error === undefined ? '' : `: ${JSON.stringify(this.error)}`;
        throw new Error(`the stream broke off after ${this.tokens} tokens${said}`, { cause });
      })
      .finally(() => {
        this.#over = true;
        this.#changed.resolve();
      });
    this.ended.catch(() => {});
  }

  get tokens(): number {
    return this.choices.reduce((sum, { ids }) => sum + ids.length, 0);
  }

  /** Resolves once so many tokens have come, of all choices together. */
  async told(tokens: number): Promise<void> {
    while (this.tokens < tokens) {
      assert.ok(!this.#over, `the stream ended after ${this.tokens} tokens: ${JSON.stringify(this.error)}`);
      await this.#changed.promise;
    }
  }

  async #read(url: string, body: object): Promise<void> {
    const response = await fetch(`${url}/v1/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({
        model: 'tiny',
        ignore_eos: true,
        return_token_ids: true,
        ...body,
        stream: true,
      }),
    });
    assert.equal(response.status, 200, await (response.ok ? undefined : response.text()));
    const decoder = new TextDecoder();
    let rest = '';
    for await (const bytes of response.body!) {
      const events = (rest + decoder.decode(bytes, { stream: true })).split('\n\n');
      rest = events.pop()!;
      for (const event of events) this.#take(event.slice('data: '.length));
      this.#changed.resolve();
      this.#changed = Promise.withResolvers();
    }
  }

  #take(data: string): void {
    if (data === '[DONE]') return;
    const chunk = JSON.parse(data) as Chunk;
    this.error = chunk.error;
    for (const { index, text, token_ids: ids, logprobs, finish_reason: finish } of chunk.choices ?? []) {
      this.choices[index] ??= { text: '', ids: [], logprobs: [], finish: null };
      const told = this.choices[index];
      told.text += text;
      told.ids.push(...(ids ?? []));
      told.logprobs.push(...(logprobs?.token_logprobs ?? []));
      told.finish = finish;
    }
  }
}

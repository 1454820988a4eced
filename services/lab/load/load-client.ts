import { Agent, request as httpRequest, type IncomingMessage } from 'node:http';
import type { RequestRecord } from './request-record.ts';
import { SseReader } from './sse-reader.ts';
import type { LoadRequest } from './workload.ts';

export interface LoadClientOptions {
  /** Where the server listens, such as http://127.0.0.1:8080. */
  readonly url: string;
  readonly model: string;
}

/**
 * Sends streamed completions and records when their tokens arrive. Built on node:http, which does less for each token
 * than fetch: the generator shares its machine with what it measures.
 */
export class LoadClient {
  readonly #options: LoadClientOptions;
  readonly #agent = new Agent({ keepAlive: true, maxSockets: Number.POSITIVE_INFINITY });

  constructor(options: LoadClientOptions) {
    this.#options = options;
  }

  /** Sends `request` and reads its answer to the end, or leaves when `signal` fires. Never rejects. */
  send(request: LoadRequest, signal?: AbortSignal): Promise<RequestRecord> {
    const { promptIds, maxTokens, seed, fields, headers } = request;
    const body = JSON.stringify({
      model: this.#options.model,
      prompt: promptIds,
      max_tokens: maxTokens,
      seed,
      temperature: 0,
      ignore_eos: true,
      stream: true,
      stream_options: { include_usage: true },
      ...fields,
    });
    const { promise, resolve } = Promise.withResolvers<RequestRecord>();
    const sentMs = performance.now();
    const stream = new SseReader();
    let status = 0;
    const end: End = (record) =>
      resolve({ sentMs, endedMs: performance.now(), tokenMs: stream.tokenMs, passes: NO_PASSES, ...record });
    const outgoing = httpRequest(`${this.#options.url}/v1/completions`, {
      method: 'POST',
      agent: this.#agent,
      headers: { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body), ...headers },
      ...(signal && { signal }),
    });
    // An abort shows here, or in the response, or in both: the first to come ends the record, with its tokens.
    const broken = (error: Error) =>
      end({
        outcome: signal?.aborted ? 'left' : 'failed',
        status: status,
        error: stream.error ?? error.message,
      });
    outgoing.on('error', broken);
    outgoing.on('response', (response) => {
      status = response.statusCode ?? 0;
      response.setEncoding('utf8').on('error', broken);
      if (status === 200) readStream(response, stream, end, broken);
      else readRefusal(response, end);
    });
    outgoing.end(body);
    return promise;
  }

  /** Closes the idle connections. */
  close(): void {
    this.#agent.destroy();
  }
}

const NO_PASSES = { prompt: 0, generated: 0 };

type End = (record: Pick<RequestRecord, 'outcome' | 'status'> & Partial<RequestRecord>) => void;

function readStream(
  response: IncomingMessage,
  stream: SseReader,
  end: End,
  broken: (error: Error) => void,
): void {
  response.on('data', (text: string) => stream.push(text, performance.now()));
  response.on('end', () => {
    const { usage, done, tokenMs } = stream;
    if (!done || !usage) return broken(new Error('the stream ended before [DONE]'));
    if (usage.completion_tokens !== tokenMs.length) {
      return broken(new Error(`${tokenMs.length} chunks brought ${usage.completion_tokens} tokens`));
    }
    end({ outcome: 'ended', status: 200, passes: usage.passes });
  });
}

function readRefusal(response: IncomingMessage, end: End): void {
  const status = response.statusCode ?? 0;
  const retryAfter = response.headers['retry-after'];
  let error = '';
  response.on('data', (part: string) => {
    error += part;
  });
  response.on('end', () =>
    end({
      outcome: 'refused',
      status,
      error,
      ...(retryAfter !== undefined && { retryAfterS: Number(retryAfter) }),
    }),
  );
}

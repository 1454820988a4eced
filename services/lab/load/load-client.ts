import { Agent, request as httpRequest, type IncomingMessage } from 'node:http';
import { EventStream } from './event-stream.ts';
import type { RequestRecord } from './request-record.ts';
import type { LoadRequest } from './workload.ts';

export interface LoadClientOptions {
  /** Where the server listens, such as http://127.0.0.1:8080. */
  readonly url: string;
  readonly model: string;
}

/**
 * Sends streamed completions and records when their tokens arrive. Built on node:http, because it shares its machine
 * with what it measures and costs a third of fetch's processor time for each token.
 */
export class LoadClient {
  readonly #options: LoadClientOptions;
  readonly #agent = new Agent({ keepAlive: true, maxSockets: Number.POSITIVE_INFINITY });

  constructor(options: LoadClientOptions) {
    this.#options = options;
  }

  /** Sends `request` and reads its answer to the end, or leaves when `signal` fires. Never rejects. */
  send(request: LoadRequest, signal?: AbortSignal): Promise<RequestRecord> {
    const { promptIds, maxTokens, seed, fields } = request;
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
    const end = (record: Omit<RequestRecord, 'sentMs' | 'endedMs'>) =>
      resolve({ sentMs, endedMs: performance.now(), ...record });
    const broken = (error: Error, stream: EventStream | undefined, status: number) =>
      end({
        outcome: signal?.aborted ? 'left' : 'failed',
        status,
        error: stream?.error ?? error.message,
        tokenMs: stream?.tokenMs ?? [],
        passes: NO_PASSES,
      });
    const outgoing = httpRequest(`${this.#options.url}/v1/completions`, {
      method: 'POST',
      agent: this.#agent,
      headers: { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) },
      ...(signal && { signal }),
    });
    outgoing.on('error', (error) => broken(error, undefined, 0));
    outgoing.on('response', (response) => {
      if (response.statusCode === 200) readStream(response, end, broken);
      else readRefusal(response, end, broken);
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

type End = (record: Omit<RequestRecord, 'sentMs' | 'endedMs'>) => void;
type Broken = (error: Error, stream: EventStream | undefined, status: number) => void;

function readStream(response: IncomingMessage, end: End, broken: Broken): void {
  const stream = new EventStream();
  response.setEncoding('utf8');
  response.on('data', (text: string) => stream.push(text, performance.now()));
  response.on('error', (error) => broken(error, stream, 200));
  response.on('end', () => {
    const { usage, done, tokenMs } = stream;
    if (!done || !usage) return broken(new Error('the stream ended before [DONE]'), stream, 200);
    if (usage.completion_tokens !== tokenMs.length) {
      const found = `${tokenMs.length} chunks brought ${usage.completion_tokens} tokens`;
      return broken(new Error(found), stream, 200);
    }
    end({ outcome: 'ended', status: 200, tokenMs, passes: usage.passes });
  });
}

function readRefusal(response: IncomingMessage, end: End, broken: Broken): void {
  const status = response.statusCode ?? 0;
  const retryAfter = response.headers['retry-after'];
  let text = '';
  response.setEncoding('utf8');
  response.on('data', (part: string) => {
    text += part;
  });
  response.on('error', (error) => broken(error, undefined, status));
  response.on('end', () =>
    end({
      outcome: 'refused',
      status,
      error: text,
      tokenMs: [],
      passes: NO_PASSES,
      ...(retryAfter !== undefined && { retryAfterS: Number(retryAfter) }),
    }),
  );
}

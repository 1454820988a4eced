import type { ServerResponse } from 'node:http';
import { LIMITS, RondoError } from '@rondo/core';
import type { FastifyReply } from 'fastify';
import { drained } from './drained.ts';
import { openAiError } from './openai-error.ts';

/**
 * A reply as server-sent events with `[DONE]` at the end. Until the first event it is an ordinary reply, so that what fails
 * before can become an ordinary HTTP error.
 */
export class SseWriter {
  readonly #reply: FastifyReply;
  readonly #response: ServerResponse;
  #begun = false;
  #chunked = false;
  #drained: Promise<void> | undefined;

  constructor(reply: FastifyReply) {
    this.#reply = reply;
    this.#response = reply.raw;
  }

  /** Whether anything has been sent. */
  get begun(): boolean {
    return this.#begun;
  }

  /**
   * Sends one event. A promise asks to wait before the next: the client reads slowly. It resolves when that has caught up, or left; one
   * that reads nothing for `httpReadMs` is cut off.
   * @throws RondoError CANCELLED when the client has left.
   */
  send(data: string): Promise<void> | undefined {
    if (!this.#begun) this.#begin();
    if (this.#response.destroyed) throw new RondoError('CANCELLED', 'the client has left');
    if (this.#write(`data: ${data}\n\n`)) return undefined;
    this.#drained ??= drained(this.#response).finally(() => {
      this.#drained = undefined;
    });
    return this.#drained;
  }

  /** @throws RondoError CANCELLED when the client has left. */
  end(): void {
    void this.send('[DONE]');
    this.#response.chunkedEncoding = this.#chunked;
    this.#response.end();
  }

  /**
   * Sends what went wrong as an event and destroys the socket without `[DONE]`: clients that read events see the error, clients
   * that only count bytes see a broken transfer.
   */
  fail(thrown: unknown): void {
    if (this.#response.destroyed) return;
    const error = JSON.stringify(openAiError(RondoError.from(thrown)));
    const destroy = () => this.#response.destroy();
    const late = setTimeout(destroy, LIMITS.httpReadMs);
    this.#response.once('close', () => clearTimeout(late));
    this.#write(`data: ${error}\n\n`, destroy);
  }

  #begin(): void {
    this.#begun = true;
    this.#reply.hijack();
    this.#response.writeHead(200, {
      ...definedHeaders(this.#reply),
      'content-type': 'text/event-stream; charset=utf-8',
      'cache-control': 'no-cache',
      // Proxies must not collect tokens.
      'x-accel-buffering': 'no',
    });
    // Node gives the socket an HTTP chunk in four pieces, which costs half as much again as all the rest of a write: the chunks
    // are framed here. HTTP/1.0 knows none.
    this.#chunked = this.#response.chunkedEncoding;
    this.#response.chunkedEncoding = false;
  }

  #write(text: string, written?: () => void): boolean {
    const framed = this.#chunked ? `${Buffer.byteLength(text).toString(16)}\r\n${text}\r\n` : text;
    return this.#response.write(framed, written);
  }
}

/** Sends all `events`, at the pace the client reads, and ends them whatever happens; a client that leaves is no failure. */
export async function sendEvents(
  reply: FastifyReply,
  events: AsyncGenerator<object, void, undefined>,
): Promise<void> {
  const stream = new SseWriter(reply);
  try {
    for await (const event of events) await stream.send(JSON.stringify(event));
    stream.end();
  } catch (thrown) {
    if (!stream.begun) throw thrown;
    if (reply.raw.destroyed) return;
    stream.fail(thrown);
    throw thrown;
  }
}

function definedHeaders(reply: FastifyReply): Record<string, string | number | string[]> {
  const headers = Object.entries(reply.getHeaders());
  return Object.fromEntries(headers.filter((entry): entry is [string, string] => entry[1] !== undefined));
}

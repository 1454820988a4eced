import type { ServerResponse } from 'node:http';
import { RondoError } from '@rondo/core';
import type { FastifyReply } from 'fastify';
import { openAiError } from './openai-error.ts';

/**
 * Sends `events` as server-sent events and `[DONE]` at the end, at the pace the client reads. They are ended whatever happens.
 * What fails before the first event is thrown, so that it becomes an ordinary HTTP error. What fails later is sent as an
 * error event and the socket is destroyed without `[DONE]`: clients that read events see the error, clients that only
 * count bytes see a broken transfer.
 */
export async function sendEvents(
  reply: FastifyReply,
  events: AsyncGenerator<object, void, undefined>,
): Promise<void> {
  const first = await events.next();
  reply.hijack();
  const response = reply.raw;
  response.writeHead(200, {
    ...definedHeaders(reply),
    'content-type': 'text/event-stream; charset=utf-8',
    'cache-control': 'no-cache',
    // Proxies must not collect tokens.
    'x-accel-buffering': 'no',
  });
  try {
    for (let next = first; !next.done; next = await events.next()) {
      await write(response, JSON.stringify(next.value));
    }
    await write(response, '[DONE]');
    response.end();
  } catch (thrown) {
    if (response.destroyed) return;
    const error = JSON.stringify(openAiError(RondoError.from(thrown)));
    response.write(frame(error), () => response.destroy());
    throw thrown;
  } finally {
    await events.return();
  }
}

const frame = (data: string): string => `data: ${data}\n\n`;

async function write(response: ServerResponse, data: string): Promise<void> {
  if (response.destroyed) throw new RondoError('CANCELLED', 'the client has left');
  if (response.write(frame(data))) return;
  await new Promise<void>((resolve) => {
    const go = () => {
      response.off('drain', go).off('close', go);
      resolve();
    };
    response.on('drain', go).on('close', go);
  });
}

function definedHeaders(reply: FastifyReply): Record<string, string | number | string[]> {
  const headers = Object.entries(reply.getHeaders());
  return Object.fromEntries(headers.filter((entry): entry is [string, string] => entry[1] !== undefined));
}

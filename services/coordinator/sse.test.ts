import assert from 'node:assert/strict';
import { EventEmitter, once } from 'node:events';
import { createServer } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { text } from 'node:stream/consumers';
import { type TestContext, test } from 'node:test';
import { LIMITS } from '@rondo/core';
import type { FastifyReply } from 'fastify';
import { SseWriter, sendEvents } from './sse.ts';

const replyOf = (raw: object): FastifyReply =>
  ({ hijack() {}, raw, getHeaders: () => ({}) }) as unknown as FastifyReply;

async function* two(): AsyncGenerator<object, void, undefined> {
  yield { text: 'größer ≥ 3' };
  yield { text: '' };
}

/** Everything that a server which answers with two events says to a request of this HTTP version. */
async function answerOver(version: string, context: TestContext): Promise<string> {
  const server = createServer((_request, response) => void sendEvents(replyOf(response), two()));
  context.after(() => server.close());
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const socket = connect((server.address() as AddressInfo).port, '127.0.0.1');
  socket.write(`GET / HTTP/${version}\r\nhost: x\r\nconnection: close\r\n\r\n`);
  return await text(socket);
}

const [FIRST, SECOND] = ['data: {"text":"größer ≥ 3"}\n\n', 'data: {"text":""}\n\n'];
const DONE = 'data: [DONE]\n\n';

test('events are chunks of HTTP/1.1, one each, and the bare stream to a client of HTTP/1.0', async (context) => {
  const chunk = (event: string) => `${Buffer.byteLength(event).toString(16)}\r\n${event}\r\n`;
  const [head, ...chunked] = (await answerOver('1.1', context)).split(/(?<=\r\n\r\n)/);
  assert.match(head!, /transfer-encoding: chunked/i);
  assert.equal(chunked.join(''), `${chunk(FIRST)}${chunk(SECOND)}${chunk(DONE)}0\r\n\r\n`);
  const [, ...bare] = (await answerOver('1.0', context)).split(/(?<=\r\n\r\n)/);
  assert.equal(bare.join(''), `${FIRST}${SECOND}${DONE}`);
});

test('a client that reads slowly is waited for until it has caught up or left', async () => {
  for (const released of ['drain', 'close']) {
    let full = true;
    const raw = Object.assign(new EventEmitter(), { destroyed: false, writeHead() {}, write: () => !full });
    const stream = new SseWriter(replyOf(raw));
    const waits = [stream.send('1'), stream.send('2')];
    assert.ok(waits[0] instanceof Promise && waits[0] === waits[1]);
    full = false;
    raw.emit(released);
    await Promise.all(waits);
    assert.equal(stream.send('3'), undefined);
    assert.equal(raw.listenerCount('drain') + raw.listenerCount('close'), 0);
  }
});

test('a client that reads nothing for too long is cut off', (context) => {
  context.mock.timers.enable({ apis: ['setTimeout'] });
  const raw = Object.assign(new EventEmitter(), {
    ...{ destroyed: false, writeHead() {}, write: () => false },
    destroy() {
      raw.destroyed = true;
      raw.emit('close');
    },
  });
  const stream = new SseWriter(replyOf(raw));
  const waits = stream.send('1');
  context.mock.timers.tick(LIMITS.httpReadMs - 1);
  assert.equal(raw.destroyed, false);
  context.mock.timers.tick(1);
  assert.equal(raw.destroyed, true);
  return waits;
});

test('events for a client that has left before the first are ended, so that what they hold is free again', async () => {
  let held = false;
  async function* events(): AsyncGenerator<object, void, undefined> {
    held = true;
    try {
      for (;;) yield {};
    } finally {
      held = false;
    }
  }
  await sendEvents(replyOf({ destroyed: true, writeHead() {} }), events());
  assert.equal(held, false);
});

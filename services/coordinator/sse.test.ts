import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { FastifyReply } from 'fastify';
import { sendEvents } from './sse.ts';

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
  const raw = { destroyed: true, writeHead() {} };
  const reply = { hijack() {}, raw, getHeaders: () => ({}) } as unknown as FastifyReply;
  await sendEvents(reply, events());
  assert.equal(held, false);
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EventQueue } from './event-queue.ts';

test('events come in order, then the end', async () => {
  const queue = new EventQueue<number>();
  queue.push(1);
  const read = Array.fromAsync(queue);
  queue.push(2);
  queue.end();
  queue.push(3);
  assert.deepEqual(await read, [1, 2]);
});

test('an error is thrown after the events before it, and the first end counts', async () => {
  const queue = new EventQueue<number>();
  queue.push(1);
  queue.end(new Error('lost'));
  queue.end();
  const seen: number[] = [];
  await assert.rejects(
    (async () => {
      for await (const event of queue) seen.push(event);
    })(),
    /lost/,
  );
  assert.deepEqual(seen, [1]);
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EventQueue } from './event-queue.ts';
import { HeldWakes } from './held-wakes.ts';

test('readers are woken at once, or once each when they are no longer held back', () => {
  const wakes = new HeldWakes();
  const woken: string[] = [];
  const [first, second] = [() => woken.push('first'), () => woken.push('second')];
  wakes.wake(first);
  assert.deepEqual(woken, ['first']);
  wakes.hold();
  for (const reader of [second, first, second]) wakes.wake(reader);
  assert.deepEqual(woken, ['first']);
  wakes.release();
  assert.deepEqual(woken, ['first', 'second', 'first']);
  wakes.release();
  wakes.wake(second);
  assert.deepEqual(woken, ['first', 'second', 'first', 'second']);
});

test('events that are held back come when they are released, an error comes at once', async () => {
  const wakes = new HeldWakes();
  const queue = new EventQueue<number>((reader) => wakes.wake(reader));
  const seen: number[] = [];
  const reading = (async () => {
    for await (const event of queue) seen.push(event);
  })();
  wakes.hold();
  queue.push(1);
  queue.push(2);
  await Promise.resolve();
  assert.deepEqual(seen, []);
  wakes.release();
  await new Promise(setImmediate);
  assert.deepEqual(seen, [1, 2]);
  wakes.hold();
  queue.push(3);
  queue.end(new Error('lost'));
  await assert.rejects(reading, /lost/);
  assert.deepEqual(seen, [1, 2, 3]);
});

import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import { test } from 'node:test';
import { Inflow } from './inflow.ts';

const source = () => new Readable({ objectMode: true, highWaterMark: 4, read() {} });
const message = (index: number) => Buffer.from(String(index));

test('messages come in order, whether they waited for the reader or the reader for them', async () => {
  const stream = source();
  const inflow = new Inflow(stream);
  const first = inflow.next();
  for (let index = 0; index < 50; index++) stream.push(message(index));
  stream.push(null);
  const all = [(await first).value];
  for await (const bytes of inflow) all.push(bytes);
  assert.deepEqual(
    all.map(String),
    Array.from({ length: 50 }, (_, index) => String(index)),
  );
  assert.equal((await inflow.next()).done, true);
});

test('an error comes after the messages before it, to a reader that waits and to one that does not', async () => {
  const stream = source();
  const inflow = new Inflow(stream);
  stream.push(message(1));
  assert.equal(String((await inflow.next()).value), '1');
  const waiting = inflow.next();
  stream.emit('error', new Error('lost'));
  await assert.rejects(waiting, /lost/);
  await assert.rejects(inflow.next(), /lost/);
});

test('a reader that takes nothing stops the stream, and starts it again', async () => {
  const stream = source();
  const inflow = new Inflow(stream);
  let accepted = 0;
  const pushWhileWanted = async () => {
    for (let turn = 0; turn < 100; turn++) {
      if (stream.push(message(accepted++))) continue;
      await new Promise(setImmediate);
      if (stream.isPaused()) return;
    }
  };
  await pushWhileWanted();
  assert.ok(accepted < 30, `${accepted} messages were taken in`);
  const held = accepted;
  for (let index = 0; index < held; index++) assert.equal(String((await inflow.next()).value), String(index));
  await pushWhileWanted();
  assert.ok(accepted > held);
});

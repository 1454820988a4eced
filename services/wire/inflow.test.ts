import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import { test } from 'node:test';
import { Inflow } from './inflow.ts';

const message = (index: number) => Buffer.from(String(index));

/** A call whose messages are numbers, of which 99 is the last, and its reader. */
function setUp() {
  const abort = new AbortController();
  let cancelled = false;
  const call = Object.assign(new Readable({ objectMode: true, highWaterMark: 4, read() {} }), {
    cancel() {
      cancelled = true;
      setImmediate(() => call.emit('error', new Error('cancelled')));
    },
  });
  const inflow = new Inflow<number>({
    begin: () => call,
    decode(bytes) {
      const number = Number(bytes);
      if (Number.isNaN(number)) throw new Error('no number');
      return number;
    },
    isLast: (number) => number === 99,
    failure: (error = new Error('ended too early')) => error as Error,
    signal: abort.signal,
  });
  return { inflow, call, abort, cancelled: () => cancelled };
}

test('messages come in order, whether they waited for the reader or the reader for them', async () => {
  const { inflow, call, cancelled } = setUp();
  const first = inflow.next();
  for (let index = 0; index < 100; index++) call.push(message(index));
  call.push(null);
  const all = [(await first).value];
  for await (const number of inflow) all.push(number);
  assert.deepEqual(
    all,
    Array.from({ length: 100 }, (_, index) => index),
  );
  assert.equal((await inflow.next()).done, true);
  assert.equal(cancelled(), false);
});

test('an error comes after the messages before it, to a reader that waits and to one that does not', async () => {
  const { inflow, call } = setUp();
  const first = inflow.next();
  call.push(message(1));
  assert.equal((await first).value, 1);
  const waiting = inflow.next();
  call.emit('error', new Error('lost'));
  await assert.rejects(waiting, /lost/);
  await assert.rejects(inflow.next(), /lost/);
});

test('a call that ends before its last message, or says what cannot be read, has failed', async () => {
  const short = setUp();
  const first = short.inflow.next();
  short.call.push(message(1));
  short.call.push(null);
  assert.equal((await first).value, 1);
  await assert.rejects(short.inflow.next(), /too early/);
  const garbled = setUp();
  const next = garbled.inflow.next();
  garbled.call.push(Buffer.from('x'));
  await assert.rejects(next, /no number/);
  assert.equal(garbled.cancelled(), true);
});

test('a reader that leaves early cancels the call, one that has the last message does not', async () => {
  for (const last of [1, 99]) {
    const { inflow, call, cancelled } = setUp();
    const first = inflow.next();
    call.push(message(last));
    await first;
    await inflow.return();
    assert.equal(cancelled(), last === 1);
    assert.equal((await inflow.next()).done, true);
  }
});

test('an abort cancels the call, and what had arrived does not surface', async () => {
  const { inflow, call, abort, cancelled } = setUp();
  const first = inflow.next();
  call.push(message(1));
  call.push(message(2));
  assert.equal((await first).value, 1);
  abort.abort();
  await assert.rejects(inflow.next(), /cancelled/);
  assert.equal(cancelled(), true);
});

test('an abort ends the wait of a reader whose stream stands still and is past cancelling', {
  timeout: 20_000,
}, async () => {
  const { inflow, call, abort } = setUp();
  const first = inflow.next();
  for (let index = 0; index < 20; index++) call.push(message(index));
  call.push(null);
  await first;
  while (!call.isPaused()) await new Promise(setImmediate);
  call.cancel = () => undefined;
  abort.abort();
  await assert.rejects(inflow.next(), /too early/);
});

test('a reader that takes nothing stops the stream, and starts it again', async () => {
  const { inflow, call } = setUp();
  const first = inflow.next();
  call.push(message(100));
  await first;
  let accepted = 0;
  const pushWhileWanted = async () => {
    for (let turn = 0; turn < 90; turn++) {
      if (call.push(message(accepted++))) continue;
      await new Promise(setImmediate);
      if (call.isPaused()) return;
    }
  };
  await pushWhileWanted();
  assert.ok(accepted < 30, `${accepted} messages were taken in`);
  const held = accepted;
  for (let index = 0; index < held; index++) assert.equal((await inflow.next()).value, index);
  await pushWhileWanted();
  assert.ok(accepted > held);
});

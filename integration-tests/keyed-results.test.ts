import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { RondoError } from '@rondo/core';
import { KeyedResults, openNats, type Tally } from '@rondo/wire';
import { NATS_MISSING, NatsServer } from './nats-server.ts';

const HASTY_TRIES = 5;
const NAMES = { stream: 'results', subject: 'results', keptMs: 3_600_000 };

test('counting has its time for each portion of the results, however many there are', {
  skip: NATS_MISSING,
}, async (context) => {
  await using server = await NatsServer.start();
  const link = await openNats({ servers: [server.url], name: 'test' });
  context.after(() => link.close());
  const results = await KeyedResults.open(link, NAMES);
  const total = 15_000;
  const kindOf = (index: number) => (index % 10 === 0 ? 'failed' : 'completed');
  for (let from = 0; from < total; from += 500) {
    const keys = Array.from({ length: 500 }, (_, index) => from + index);
    const puts = keys.map((key) => results.put('g', String(key), kindOf(key), Buffer.from('x')));
    assert.equal((await Promise.all(puts)).every(Boolean), true);
  }
  await results.put('other', '0', 'completed', Buffer.from('x'));
  const expected = { seq: total, kinds: { completed: total * 0.9, failed: total * 0.1 } };

  const began = performance.now();
  assert.deepEqual(await results.count('g', { seq: 0, kinds: {} }), expected);
  const wholeMs = performance.now() - began;
  // A third of what all of it takes is much for one of its 30 portions, and too little for all of them.
  const hasty = await KeyedResults.open(link, { ...NAMES, countMs: wholeMs / 3 });
  const count = (tries: number): Promise<Tally> =>
    hasty.count('g', { seq: 0, kinds: {} }).catch((error: RondoError) => {
      // A busy machine holds up one portion now and then; time for the whole would always be too short.
      if (error.code === 'NATS_UNAVAILABLE' && tries > 1) return count(tries - 1);
      throw error;
    });
  assert.deepEqual(await count(HASTY_TRIES), expected);
  const half = { seq: total / 2, kinds: { completed: total * 0.45, failed: total * 0.05 } };
  assert.deepEqual(await results.count('g', half), expected, 'from a place on');
});

test('a result is stored once, and its first writer wins', { skip: NATS_MISSING }, async (context) => {
  await using server = await NatsServer.start();
  const link = await openNats({ servers: [server.url], name: 'test' });
  context.after(() => link.close());
  const results = await KeyedResults.open(link, NAMES);
  const put = (text: string) => results.put('g', '0', 'completed', Buffer.from(text));
  const stored = await Promise.all(['a', 'b', 'c'].map(put));
  assert.equal(stored.filter(Boolean).length, 1);
  assert.equal(Buffer.from((await results.get('g', '0'))!.data).toString(), 'abc'[stored.indexOf(true)]);
  assert.deepEqual(await results.count('g', { seq: 0, kinds: {} }), { seq: 1, kinds: { completed: 1 } });
});

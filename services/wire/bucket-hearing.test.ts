import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { JetStreamApiError } from '@nats-io/jetstream';
import type { KV, KvStatus } from '@nats-io/kv';
import { BucketHearing } from './bucket-hearing.ts';

/** A bucket that has come as far as the test says, and who listens to it. */
async function listening(context: TestContext) {
  context.mock.timers.enable({ apis: ['setInterval'] });
  const bucket: { last: number; fault?: Error } = { last: 7 };
  const status = async () => {
    if (bucket.fault) throw bucket.fault;
    return { streamInfo: { state: { last_seq: bucket.last } } } as KvStatus;
  };
  const reasons: string[] = [];
  const hearing = await BucketHearing.begin({ status } as Pick<KV, 'status'>, (why) => reasons.push(why));
  const look = async () => {
    context.mock.timers.tick(5_000);
    await turn();
  };
  return { bucket, hearing, reasons, look };
}

test('a bucket that is heard, or stands still, or cannot be asked now, is listened to on', async (context) => {
  const { bucket, hearing, reasons, look } = await listening(context);
  await look();
  bucket.last = 9;
  await look();
  hearing.heard(8);
  hearing.heard(9);
  await look();
  bucket.fault = new Error('timeout');
  await look();
  assert.deepEqual(reasons, []);
});

test('a bucket that counts from 1 again, holds what nobody heard, or is gone, is heard no more', async (context) => {
  const { bucket, hearing, reasons, look } = await listening(context);
  bucket.last = 2;
  await look();
  bucket.last = 9;
  await look();
  bucket.last = 12;
  await look();
  assert.equal(reasons.length, 2);
  hearing.heard(12);
  bucket.fault = new JetStreamApiError({ code: 404, err_code: 10059, description: 'stream not found' });
  await look();
  assert.deepEqual(reasons, [
    'their bucket was made anew',
    'what their bucket holds is not heard',
    'their bucket is gone',
  ]);
  hearing.end();
  await look();
  assert.equal(reasons.length, 3);
});

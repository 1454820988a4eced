import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { LIMITS } from '@rondo/core';
import { LoadClient, type RequestRecord, Scrape, Workload } from '@rondo/lab';
import { Cluster } from './cluster.ts';
import { TinyBundle } from './tiny-bundle.ts';

const CAPACITY = LIMITS.requestsInFlight;
const TOKENS = 128;
/** One pass of every sequence: slow enough that nothing ends before all requests have come. */
const PASS_MS = '20';
/** K and V of half of the capacity: the other half waits in line. */
const KV_MB = '16';

let bundle: TinyBundle;
let cluster: Cluster;
before(async () => {
  bundle = await TinyBundle.make(2);
  cluster = await Cluster.start({
    bundle: bundle.directory,
    workers: 1,
    placement: 'homed',
    workerOptions: ['--engine', 'timed', '--timed-pass-ms', PASS_MS, '--timed-row-ms', '0', '--kv-mb', KV_MB],
  });
});
after(async () => {
  await cluster[Symbol.asyncDispose]();
  await bundle[Symbol.asyncDispose]();
});

const workload = new Workload({
  seed: 11,
  promptTokens: { least: 1, most: 8 },
  outputTokens: { least: TOKENS, most: TOKENS },
  ids: { first: 3, last: 302 },
});

/** Sequences that the coordinator holds, running and in line. */
async function held(): Promise<{ running: number; waiting: number }> {
  const scrape = await Scrape.of(cluster.url);
  return { running: scrape.sum('rondo_sequences_running'), waiting: scrape.sum('rondo_sequences_waiting') };
}

test('at four times its capacity a server takes what it holds, refuses the rest at once and ends what it took', {
  timeout: 120_000,
}, async () => {
  const client = new LoadClient({ url: cluster.url, model: 'tiny' });
  const all = CAPACITY * 4;
  const records: RequestRecord[] = [];
  const refused = Promise.withResolvers<void>();
  const sent = Array.from({ length: all }, async (_, index) => {
    records.push(await client.send(workload.request(index)));
    if (records.length === all - CAPACITY) refused.resolve();
  });
  await refused.promise;
  // Nobody who was taken has ended yet, so the refusals did not wait for anything.
  for (const { outcome, status, retryAfterS, error } of records) {
    assert.deepEqual([outcome, status], ['refused', 429], error);
    assert.ok(retryAfterS! >= 1, `Retry-After: ${retryAfterS}`);
    assert.equal((JSON.parse(error!) as { error: { type: string } }).error.type, 'rate_limit_error');
  }
  const { running, waiting } = await held();
  assert.equal(running + waiting, CAPACITY);
  assert.ok(running > 0 && waiting > 0, `${running} run, ${waiting} wait`);
  await Promise.all(sent);
  const taken = records.slice(all - CAPACITY);
  for (const { outcome, tokenMs, error } of taken) {
    assert.deepEqual([outcome, tokenMs.length], ['ended', TOKENS], error);
  }
  assert.deepEqual(await held(), { running: 0, waiting: 0 });
  assert.equal((await client.send({ ...workload.request(all), maxTokens: 2 })).outcome, 'ended');
  client.close();
});

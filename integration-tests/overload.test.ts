import assert from 'node:assert/strict';
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { after, before, test } from 'node:test';
import { LIMITS } from '@rondo/core';
import { LoadClient, type RequestRecord, Scrape, Workload } from '@rondo/lab';
import { RondoProcess } from './rondo-process.ts';
import { TinyBundle } from './tiny-bundle.ts';

const CAPACITY = LIMITS.requestsInFlight;
const TOKENS = 128;
/** One pass of every sequence, in milliseconds: none ends before all requests have come, and then all soon do. */
const PASS_MS = { crowded: 1000, after: 1 };
/** K and V of half of the capacity: the other half waits in line. */
const KV_BYTES = 16 << 20;
const WORKER = new URL('./timed-worker-process.ts', import.meta.url).pathname;

let bundle: TinyBundle;
let worker: ChildProcess;
let coordinator: RondoProcess;
let url: string;
before(async () => {
  bundle = await TinyBundle.make(2);
  worker = fork(WORKER, [bundle.directory, String(KV_BYTES), String(PASS_MS.crowded)]);
  const [{ address }] = (await once(worker, 'message')) as [{ address: string }];
  coordinator = await RondoProcess.start(
    ...['coordinator', '--model', bundle.directory, '--listen', '127.0.0.1:0', '--placement', 'homed'],
    ...['--worker', address],
  );
  url = coordinator.ready.replace(/\/$/, '');
});
after(async () => {
  await coordinator.stop();
  worker.disconnect();
  await once(worker, 'exit');
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
  const scrape = await Scrape.of(url);
  return { running: scrape.sum('rondo_sequences_running'), waiting: scrape.sum('rondo_sequences_waiting') };
}

test('at four times its capacity a server takes what it holds, refuses the rest at once and ends what it took', {
  timeout: 120_000,
}, async () => {
  const client = new LoadClient({ url, model: 'tiny' });
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
  worker.send(PASS_MS.after);
  await Promise.all(sent);
  const taken = records.slice(all - CAPACITY);
  for (const { outcome, tokenMs, error } of taken) {
    assert.deepEqual([outcome, tokenMs.length], ['ended', TOKENS], error);
  }
  assert.deepEqual(await held(), { running: 0, waiting: 0 });
  assert.equal((await client.send({ ...workload.request(all), maxTokens: 2 })).outcome, 'ended');
  client.close();
});

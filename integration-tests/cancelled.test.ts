import assert from 'node:assert/strict';
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { openBundle } from '@rondo/bundle';
import { type Address, type GenerateSpec, RondoError, sequenceId, workerId } from '@rondo/core';
import { connectWorker, type WorkerClient } from '@rondo/wire';
import fc from 'fast-check';
import { GREEDY } from './engine-worker.ts';
import { TinyBundle } from './tiny-bundle.ts';

/** Runs a request until its caller's moment comes, unless the worker has no room for it or is done before. */
async function leaves(
  client: WorkerClient,
  spec: GenerateSpec,
  { moment, aborts }: Visit,
): Promise<'left' | 'refused' | 'ended'> {
  const abort = new AbortController();
  const turns = async (): Promise<void> => {
    for (let turn = 0; turn < moment.count; turn++) await setImmediate();
    abort.abort();
  };
  if (moment.at === 'turn') void turns();
  let tokens = 0;
  try {
    for await (const event of client.generate(spec, abort.signal)) {
      if (moment.at === 'opened' && event.type === 'opened') void turns();
      if (event.type === 'token') tokens++;
      if (moment.at !== 'token' || tokens < moment.count) continue;
      if (!aborts) return 'left';
      abort.abort();
    }
  } catch (error) {
    if (!(error instanceof RondoError)) throw error;
    if (error.code === 'KV_EXHAUSTED') return 'refused';
    if (error.code === 'CANCELLED') return 'left';
    throw error;
  }
  return 'ended';
}

/** The next message of the worker's process. */
async function told<Message>(child: ChildProcess): Promise<Message> {
  const [message] = (await once(child, 'message')) as [Message & { broken?: string }];
  assert.equal(message.broken, undefined);
  return message;
}

/** How often the worker has counted its pages with nobody there. */
async function checksOf(child: ChildProcess): Promise<number> {
  child.send('metrics?');
  const { metrics } = await told<{ metrics: string }>(child);
  return Number(/^rondo_idle_checks_total\{[^}]*\} (\d+)$/m.exec(metrics)![1]);
}

const PROCESS = new URL('./timed-worker-process.ts', import.meta.url).pathname;
const CANCELLED = 10_000;
const CLIENTS = 8;
/** Requests of each client at once: more than the pages carry, so that some are refused in between. */
const AT_ONCE = 12;
const KV_BYTES = 4 << 20;

/** When a caller leaves. */
const moment = fc.oneof(
  fc.record({ at: fc.constant('turn' as const), count: fc.nat(30) }),
  fc.record({ at: fc.constant('opened' as const), count: fc.nat(12) }),
  fc.record({ at: fc.constant('token' as const), count: fc.integer({ min: 1, max: 6 }) }),
);
const visit = fc.record({
  moment,
  promptRows: fc.integer({ min: 1, max: 300 }),
  /** Few beginnings, so that some share pages. */
  beginning: fc.nat(5),
  /** By its signal, or by reading no further. */
  aborts: fc.boolean(),
});
type Visit = typeof visit extends fc.Arbitrary<infer Value> ? Value : never;

test(`${CANCELLED} callers who leave at any moment take no page with them`, {
  timeout: 300_000,
}, async () => {
  await using bundle = await TinyBundle.make(2);
  const { digest, manifest } = await openBundle(bundle.directory);
  const child = fork(PROCESS, [bundle.directory, String(KV_BYTES)]);
  try {
    const { address } = await told<{ address: Address }>(child);
    const clients = Array.from({ length: CLIENTS }, () => connectWorker(address));
    const { workerId: id } = await clients[0]!.describe();
    const home = { id: workerId(id), address };
    const stages = [{ worker: home, depths: { first: 0, end: manifest.maxDepth } }];
    const specOf = ({ promptRows, beginning }: Visit, index: number): GenerateSpec => ({
      sequenceId: sequenceId(`sequence-${index}`),
      route: { epoch: 1, home, stages },
      bundleDigest: digest,
      promptIds: Array.from({ length: promptRows }, (_, at) => 3 + ((at + 7 * beginning) % 200)),
      emitted: [],
      maxTokens: 64,
      stopIds: [],
      sampling: GREEDY,
      exit: { policy: 'none', threshold: 0, minDepth: 1, maxDepth: manifest.maxDepth },
      promptLogprobs: false,
    });
    const visits = fc.sample(visit, { numRuns: 2000, seed: 5 });
    const left = { turn: 0, opened: 0, token: 0 };
    let [sent, refused] = [0, 0];
    const comeAndGo = async (client: WorkerClient) => {
      while (left.turn + left.opened + left.token < CANCELLED) {
        const of = visits[sent % visits.length]!;
        const outcome = await leaves(client, specOf(of, sent++), of);
        if (outcome === 'left') left[of.moment.at]++;
        else if (outcome === 'refused') refused++;
      }
    };
    await Promise.all(clients.flatMap((client) => Array.from({ length: AT_ONCE }, () => comeAndGo(client))));
    for (const [when, count] of Object.entries(left)) assert.ok(count > 1000, `${count} left at ${when}`);
    assert.ok(refused > 0, 'the pages were never short');
    let { load } = await clients[0]!.describe();
    while (load.sequences > 0 || load.freePositions < load.totalPositions) {
      ({ load } = await clients[0]!.describe());
    }
    // When it has nothing to do a worker counts its pages, and is broken if one is missing.
    const before = await checksOf(child);
    const last = { ...specOf(visits[0]!, sent), maxTokens: 2 };
    const events = await Array.fromAsync(clients[1]!.generate(last, new AbortController().signal));
    assert.equal(events.at(-1)?.type, 'finished');
    while ((await checksOf(child)) === before);
    for (const client of clients) client.close();
  } finally {
    child.disconnect();
    await once(child, 'exit');
  }
});

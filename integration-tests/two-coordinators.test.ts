import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { LoadClient, type RequestRecord, Scrape, Workload } from '@rondo/lab';
import { Cluster } from './cluster.ts';
import { RondoProcess } from './rondo-process.ts';
import { TinyBundle } from './tiny-bundle.ts';

/** Of each coordinator. */
const REQUESTS = 120;
/** How many times as much they want together as the workers' pages hold at once, at least. */
const TIMES_THE_ROOM = 3;
const TOKENS = 32;
const WORKER = ['--engine', 'timed', '--timed-pass-ms', '5', '--timed-row-ms', '0', '--kv-mb', '2'];

let bundle: TinyBundle;
before(async () => {
  bundle = await TinyBundle.make(2);
});
after(() => bundle[Symbol.asyncDispose]());

const workload = new Workload({
  seed: 12,
  promptTokens: { least: 8, most: 100 },
  outputTokens: { least: TOKENS, most: TOKENS },
  ids: { first: 3, last: 302 },
});

interface Health {
  readonly workers: readonly {
    readonly load: Record<'freePositions' | 'totalPositions' | 'sequences', number>;
  }[];
}

const healthOf = async (url: string): Promise<Health> =>
  (await (await fetch(`${url}/health`)).json()) as Health;

/** Asks until no worker holds anything; the test's own time limit bounds it. */
async function untilFree(url: string): Promise<void> {
  for (;;) {
    const { workers } = await healthOf(url);
    assert.equal(workers.length, 2);
    if (workers.every(({ load }) => load.sequences === 0 && load.freePositions === load.totalPositions))
      return;
  }
}

for (const placement of ['homed', 'staged'] as const) {
  test(`${placement}: two coordinators that overload the same workers lose no request and leave nothing behind`, {
    timeout: 120_000,
  }, async () => {
    await using cluster = await Cluster.start({
      ...{ bundle: bundle.directory, workers: 2, placement },
      workerOptions: WORKER,
    });
    await using other = await RondoProcess.start(
      ...['coordinator', '--model', bundle.directory, '--listen', '127.0.0.1:0', '--placement', placement],
      // In the other order: whoever takes one worker first may want the other's next.
      ...cluster.workers.toReversed().flatMap(({ ready }) => ['--worker', ready]),
    );
    const urls = [cluster.url, other.ready.replace(/\/$/, '')];
    const requests = urls.map((_, which) =>
      Array.from({ length: REQUESTS }, (_, index) => workload.request(which * REQUESTS + index)),
    );
    const { workers } = await healthOf(cluster.url);
    const room = workers.reduce((sum, { load }) => sum + load.totalPositions, 0);
    const wanted = requests.flat().reduce((sum, { promptIds }) => sum + promptIds.length + TOKENS, 0);
    assert.ok(wanted >= TIMES_THE_ROOM * room, `${wanted} positions wanted where there are ${room}`);
    const records: RequestRecord[] = [];
    await Promise.all(
      urls.map(async (url, which) => {
        const client = new LoadClient({ url, model: 'tiny' });
        await Promise.all(requests[which]!.map(async (request) => records.push(await client.send(request))));
        client.close();
      }),
    );
    const ended = records.filter(({ outcome }) => outcome === 'ended');
    for (const { tokenMs } of ended) assert.equal(tokenMs.length, TOKENS);
    // Who waits while only the other's sequences hold what it needs is told to come back.
    for (const { outcome, status, retryAfterS, error } of records.filter((each) => !ended.includes(each))) {
      assert.deepEqual([outcome, status], ['refused', 429], error);
      assert.ok(retryAfterS! >= 1);
    }
    assert.equal(records.length, urls.length * REQUESTS);
    assert.ok(ended.length > REQUESTS, `${ended.length} of ${records.length} ended`);
    for (const url of urls) {
      await untilFree(url);
      const scrape = await Scrape.of(url);
      for (const name of ['running', 'waiting']) assert.equal(scrape.sum(`rondo_sequences_${name}`), 0);
    }
  });
}

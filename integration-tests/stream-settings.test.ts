import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { JobQueue, KeyedResults, type NatsLink, ObjectStore, openNats, RecordStore } from '@rondo/wire';
import { NATS_MISSING, NatsServer } from './nats-server.ts';
import { RondoProcess } from './rondo-process.ts';
import { TinyBundle } from './tiny-bundle.ts';

const HOUR_MS = 3_600_000;
const RESULTS = { stream: 'results', subject: 'results', keptMs: HOUR_MS };
const JOBS = { stream: 'jobs', subject: 'jobs', silenceMs: 1000 };

/** What a stream deletes by age, in milliseconds. */
async function keptMs(link: NatsLink, stream: string): Promise<number> {
  const manager = await link.stores.jetstream.jetstreamManager();
  return (await manager.streams.info(stream)).config.max_age / 1e6;
}

describe('streams that are there already', { skip: NATS_MISSING }, () => {
  test('take on what is wanted of them now, and keep what they hold', async (context) => {
    await using server = await NatsServer.start();
    const link = await openNats({ servers: [server.url], name: 'test' });
    context.after(() => link.close());
    const [results, records] = [
      await KeyedResults.open(link, RESULTS),
      await RecordStore.open<string>(link, 'records', { keptMs: HOUR_MS }),
    ];
    await results.put('g', '0', 'completed', Buffer.from('kept'));
    await records.put('k', 'kept');
    const later = await KeyedResults.open(link, { ...RESULTS, keptMs: 2 * HOUR_MS });
    const longer = await RecordStore.open<string>(link, 'records', { keptMs: 2 * HOUR_MS });
    assert.deepEqual(
      [await keptMs(link, 'results'), await keptMs(link, 'KV_records')],
      [2 * HOUR_MS, 2 * HOUR_MS],
    );
    assert.equal(Buffer.from((await later.get('g', '0'))!.data).toString(), 'kept');
    assert.equal((await longer.get('k'))!.value, 'kept');
    await RecordStore.open<string>(link, 'records');
    assert.equal(await keptMs(link, 'KV_records'), 2 * HOUR_MS, 'what is not wanted otherwise stays');
  });

  test('say their name when NATS refuses what is wanted of them, and when they cannot be made', async (context) => {
    await using server = await NatsServer.start();
    const [one, three] = await Promise.all([
      openNats({ servers: [server.url], name: 'one copy' }),
      openNats({ servers: [server.url], name: 'three copies', replicas: 3 }),
    ]);
    context.after(() => Promise.all([one.close(), three.close()]));
    const opened: Readonly<Record<string, (link: NatsLink) => Promise<unknown>>> = {
      jobs: (link) => JobQueue.open(link, JOBS),
      results: (link) => KeyedResults.open(link, RESULTS),
      KV_records: (link) => RecordStore.open(link, 'records'),
      OBJ_contents: (link) => ObjectStore.open(link, 'contents'),
    };
    for (const [name, open] of Object.entries(opened)) {
      const refused = {
        code: 'NATS_UNAVAILABLE',
        message: new RegExp(`stream ${name} with .*num_replicas 3.*: .+; check --nats-replicas`),
      };
      await assert.rejects(open(three), refused, `${name} is not there`);
      await open(one);
      await assert.rejects(open(three), refused, `${name} is there`);
    }
  });

  test('of a coordinator that cannot open them are complained of once each, not at every try', async () => {
    await using bundle = await TinyBundle.make(2);
    await using server = await NatsServer.start();
    process.env.RONDO_LOG = 'debug';
    try {
      await using coordinator = await RondoProcess.start(
        ...['coordinator', '--model', bundle.directory, '--listen', '127.0.0.1:0'],
        ...['--nats', server.url, '--nats-replicas', '3'],
      );
      const told = () =>
        coordinator.errors
          .split('\n')
          // The last may be on its way.
          .slice(0, -1)
          .filter((line) => line.includes('cannot be opened yet'))
          .map((line) => JSON.parse(line) as { level: string; err: { message: string } });
      const at = (level: string) => told().filter((line) => line.level === level);
      while (at('debug').length < 2) await coordinator.wrote();
      const warned = at('warn').map(({ err }) => err.message);
      assert.match(warned[0]!, /stream \S*rondo-.*--nats-replicas/);
      assert.equal(new Set(warned).size, warned.length, 'the same was said twice');
    } finally {
      delete process.env.RONDO_LOG;
    }
  });
});

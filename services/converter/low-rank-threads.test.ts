import assert from 'node:assert/strict';
import { test } from 'node:test';
import { truncatedSvd } from './low-rank.ts';
import { LowRankThreads } from './low-rank-threads.ts';
import { SeededRandom } from './seeded-random.ts';

function normalMatrix(seed: number): Float32Array {
  const random = new SeededRandom(seed);
  return Float32Array.from({ length: 30 * 40 }, () => random.normal());
}

test('any number of threads gives what none gives', async () => {
  const wish = { rank: 5 };
  const expected = [1, 2, 3, 4, 5].map((seed) => truncatedSvd(normalMatrix(seed), 30, 40, wish));
  for (const count of [1, 3]) {
    const threads = new LowRankThreads(count);
    const found = await Promise.all(
      [1, 2, 3, 4, 5].map((seed) => threads.decompose(normalMatrix(seed), 30, 40, wish)),
    );
    await threads.close();
    assert.deepEqual(found, expected);
  }
});

test('what one refuses leaves it ready for the next', async () => {
  const threads = new LowRankThreads(1);
  const refused = threads.decompose(normalMatrix(1), 30, 40, { rank: 0 });
  const next = threads.decompose(normalMatrix(2), 30, 40, { rank: 2 });
  await assert.rejects(refused, { code: 'CONFIG_INVALID', message: /rank 0/ });
  assert.equal((await next).rank, 2);
  await threads.close();
});

test('closing ends what runs and what waits, and nothing begins afterwards', async () => {
  const threads = new LowRankThreads(1);
  const open = [1, 2].map((seed) => threads.decompose(normalMatrix(seed), 30, 40, {}));
  const ended = open.map((work) => assert.rejects(work, { code: 'CANCELLED' }));
  await threads.close();
  await Promise.all(ended);
  await assert.rejects(threads.decompose(normalMatrix(3), 30, 40, {}), { code: 'CANCELLED' });
});

test('threads that died take no more work, and what comes after the last of them is refused', async () => {
  const threads = new LowRankThreads(2, new URL('data:text/javascript,throw new Error("no room")'));
  const refusal = { code: 'INTERNAL', message: /a decomposing thread died: no room/ };
  // The first is handed to one thread, and the other dies while it has nothing to do.
  for (const seed of [1, 2, 3])
    await assert.rejects(threads.decompose(normalMatrix(seed), 30, 40, {}), refusal);
  await threads.close();
  await assert.rejects(threads.decompose(normalMatrix(4), 30, 40, {}), { code: 'CANCELLED' });
});

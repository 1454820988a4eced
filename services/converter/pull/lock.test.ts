import assert from 'node:assert/strict';
import { statSync, utimesSync } from 'node:fs';
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { LIMITS, ManualClock } from '@rondo/core';
import { locked } from './lock.ts';

let directory: string;
let lock: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'rondo-lock-'));
  lock = join(directory, 'lock');
});
afterEach(() => rm(directory, { recursive: true }));

test('a lock that nobody touches any more is waited for no longer, whoever it names, and it is told once who that is', async () => {
  for (const [content, holder] of [
    // Of a container that was killed and has another name each time, of one that was started again, and of a full disk.
    ['7 another-host', 'process 7 on another-host'],
    [`${process.pid} ${hostname()}`, `process ${process.pid} on ${hostname()}`],
    ['', 'a process that it does not name'],
  ] as const) {
    await writeFile(lock, content);
    const clock = new ManualClock();
    const told: string[][] = [];
    const onWait = (...who: string[]) => {
      told.push(who);
      clock.advance(LIMITS.lockSilenceMs);
    };
    assert.equal(await locked(lock, { clock, onWait }, async () => 'done'), 'done');
    assert.deepEqual(told, [[holder, lock]]);
    assert.deepEqual(await readdir(directory), []);
  }
});

test('a lock that is touched is waited for, however long', async () => {
  await writeFile(lock, '7 another-host');
  const controller = new AbortController();
  let looks = 0;
  // At each look the bound is past since the one before, and the lock was touched.
  const clock = {
    now() {
      looks++;
      utimesSync(lock, looks, looks);
      if (looks === 4) controller.abort();
      return looks * LIMITS.lockSilenceMs;
    },
  };
  const waiting = locked(lock, { clock, signal: controller.signal }, () => assert.fail('it had the lock'));
  await assert.rejects(waiting, { name: 'AbortError' });
});

test('who has a lock touches it while its work goes on', async (context) => {
  context.mock.timers.enable({ apis: ['setInterval'] });
  await locked(lock, {}, async () => {
    utimesSync(lock, 1, 1);
    context.mock.timers.tick(LIMITS.lockSilenceMs / 2);
    while (statSync(lock).mtimeMs === 1000) await setImmediate();
  });
  assert.deepEqual(await readdir(directory), []);
});

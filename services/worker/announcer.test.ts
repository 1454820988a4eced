import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createLog } from '@rondo/chassis';
import { address, LIMITS, ManualClock, workerId } from '@rondo/core';
import type { WorkerAnnouncement } from '@rondo/wire';
import { Announcer } from './announcer.ts';

/** An announcer beside a board that writes down what it is told, and that can be taken away. */
function announced() {
  const clock = new ManualClock();
  clock.advance(LIMITS.announcementMs);
  const told: (WorkerAnnouncement | string)[] = [];
  const warnings: string[] = [];
  /** Of each announcement: whether a board that has to try again by then should not. */
  const tooLate: boolean[] = [];
  const board: { away: boolean; held?: Promise<void> } = { away: false };
  const worker = { sequences: 0 };
  const say = async (what: WorkerAnnouncement | string): Promise<void> => {
    if (board.away) throw new Error('away');
    told.push(what);
    if (typeof what === 'object') await board.held;
  };
  const announcer = new Announcer(
    {
      async announce(what, signal) {
        await say(what);
        tooLate.push(signal.aborted);
      },
      withdraw: say,
    },
    () => ({
      workerId: workerId('w'),
      address: address('w:7600'),
      protocolRevision: 1,
      bundleDigest: 'd',
      bundleName: 'tiny',
      provider: 'cpu',
      load: { ...worker },
      state: 'serving',
    }),
    createLog('test', { level: 'warn', to: { write: (line) => void warnings.push(line) } }),
    clock,
  );
  return { announcer, board, worker, clock, told, tooLate, warnings };
}

test('what has not changed is announced again after a third of its life', async () => {
  const { announcer, clock, told } = announced();
  for (const ms of [0, 1, LIMITS.announcementMs / 3 - 2, 1]) {
    clock.advance(ms);
    await announcer.glance();
  }
  assert.equal(told.length, 2);
});

test('another load is announced at the next glance', async () => {
  const { announcer, worker, told } = announced();
  await announcer.glance();
  worker.sequences = 3;
  await announcer.glance();
  await announcer.glance();
  assert.deepEqual(
    told.map((each) => typeof each === 'object' && each.load.sequences),
    [0, 3],
  );
});

test('a drain is announced at once, then the farewell', async () => {
  const { announcer, told } = announced();
  await announcer.glance();
  await announcer.drain();
  await announcer.farewell();
  assert.deepEqual(
    told.map((each) => (typeof each === 'object' ? each.state : `farewell ${each}`)),
    ['serving', 'draining', 'farewell w'],
  );
});

test('behind an announcement that is not answered one more waits, and says how the worker is by then', async () => {
  const { announcer, board, worker, clock, told } = announced();
  const held = Promise.withResolvers<void>();
  board.held = held.promise;
  const glances: Promise<void>[] = [];
  for (let count = 0; count < 20; count++) {
    clock.advance(LIMITS.announcementMs);
    glances.push(announcer.glance());
    await Promise.resolve();
  }
  worker.sequences = 3;
  held.resolve();
  await Promise.all(glances);
  assert.deepEqual(
    told.map((each) => typeof each === 'object' && each.load.sequences),
    [0, 3],
  );
});

test('an announcement that is never answered keeps no farewell, and nothing is announced behind that', async (context) => {
  context.mock.timers.enable({ apis: ['setTimeout'] });
  const { announcer, board, told, tooLate } = announced();
  const held = Promise.withResolvers<void>();
  board.held = held.promise;
  const sent = announcer.announce();
  await Promise.resolve();
  const drained = announcer.drain();
  const left = announcer.farewell();
  context.mock.timers.tick(2_000);
  await left;
  held.resolve();
  await Promise.all([sent, drained]);
  assert.deepEqual(
    told.map((each) => (typeof each === 'object' ? each.state : `farewell ${each}`)),
    ['serving', 'farewell w'],
  );
  assert.deepEqual(tooLate, [true]);
});

test('a board that is away is complained of once each time, and found again', async () => {
  const { announcer, board, told, warnings } = announced();
  for (const away of [true, true, false, true]) {
    board.away = away;
    await announcer.announce();
  }
  assert.equal(told.length, 1);
  assert.equal(warnings.length, 2);
});

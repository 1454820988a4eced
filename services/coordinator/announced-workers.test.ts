import assert from 'node:assert/strict';
import { test } from 'node:test';
import { address, workerId } from '@rondo/core';
import type { WorkerAnnouncement } from '@rondo/wire';
import { AnnouncedWorkers } from './announced-workers.ts';

const GRACE_MS = 30;

const announcementOf = (name: string): WorkerAnnouncement => ({
  workerId: workerId(name),
  address: address(`${name}:7600`),
  protocolRevision: 1,
  bundleDigest: 'd',
  bundleName: 'tiny',
  provider: 'cpu',
  load: {},
  state: 'serving',
});

/** A view with workers a and b, heard in the first stretch of watching, whose grace is over. */
function settled(): AnnouncedWorkers {
  const workers = new AnnouncedWorkers(GRACE_MS);
  workers.began(0);
  for (const name of ['a', 'b']) workers.announced(name, announcementOf(name));
  workers.settle(GRACE_MS);
  return workers;
}

const names = (workers: AnnouncedWorkers): string[] => workers.all.map((each) => each.workerId);

test('who is announced is there until a farewell', () => {
  const workers = settled();
  assert.deepEqual(names(workers), ['a', 'b']);
  workers.withdrawn('a');
  assert.deepEqual(names(workers), ['b']);
});

test('who expires while NATS is there is dropped', () => {
  const workers = settled();
  workers.expired('b', GRACE_MS + 1);
  assert.deepEqual(names(workers), ['a']);
});

test('after an absence the last view stays for the grace; then only who was heard again does', () => {
  const workers = settled();
  workers.began(1000);
  workers.announced('b', announcementOf('b'));
  workers.settle(1000 + GRACE_MS - 1);
  assert.deepEqual(names(workers), ['a', 'b']);
  workers.settle(1000 + GRACE_MS);
  assert.deepEqual(names(workers), ['b']);
});

test('what expired during the absence is forgiven when it is announced within the grace', () => {
  const workers = settled();
  workers.began(1000);
  for (const name of ['a', 'b']) workers.expired(name, 1001);
  workers.announced('a', announcementOf('a'));
  assert.deepEqual(names(workers), ['a', 'b']);
  workers.settle(1000 + GRACE_MS);
  assert.deepEqual(names(workers), ['a']);
});

test('a farewell counts during the grace', () => {
  const workers = settled();
  workers.began(1000);
  workers.withdrawn('a');
  assert.deepEqual(names(workers), ['b']);
});

test('an expiry of somebody unknown is nothing', () => {
  const workers = settled();
  workers.expired('c', GRACE_MS + 1);
  assert.deepEqual(names(workers), ['a', 'b']);
});

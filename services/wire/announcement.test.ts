import assert from 'node:assert/strict';
import { test } from 'node:test';
import { address, workerId } from '@rondo/core';
import { decodeAnnouncement, encodeAnnouncement, type WorkerAnnouncement } from './announcement.ts';
import { mismatch } from './test-codec.ts';

const announcement: WorkerAnnouncement = {
  workerId: workerId('w-1'),
  address: address('worker-1:7600'),
  protocolRevision: 1,
  bundleDigest: 'd',
  bundleName: 'tiny',
  provider: 'cpu',
  load: { sequences: 3 },
  state: 'draining',
};

test('an announcement survives the board', () => {
  assert.deepEqual(decodeAnnouncement(encodeAnnouncement(announcement)), announcement);
});

test('an announcement that leads nowhere is refused, naming what was found', () => {
  for (const found of ['worker-1', 'worker-1:', ':7600', 'worker-1:65536', 'http://worker-1:7600']) {
    const json = encodeAnnouncement({ ...announcement, address: address(found) });
    assert.throws(
      () => decodeAnnouncement(json),
      mismatch(/announcement: address is '.*', expected host:port/),
      found,
    );
  }
  assert.throws(() => decodeAnnouncement('[]'), mismatch(/announcement/));
});

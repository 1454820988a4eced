import assert from 'node:assert/strict';
import { test } from 'node:test';
import { address, RondoError, type Route, workerId } from '@rondo/core';
import { FrontDoor } from './front-door.ts';
import type { HomeSequence } from './home-sequence.ts';
import { KvPools } from './kv-pools.ts';
import type { PeerLinks } from './peer-links.ts';
import { Tenants } from './tenants.ts';
import { testSpec } from './test-cluster.ts';
import { testBundle } from './test-model.ts';

const HOME = { id: workerId('here'), address: address('127.0.0.1:1') };
const NEXT = { id: workerId('next'), address: address('127.0.0.1:2') };

const routeOver = (...workers: (typeof HOME)[]): Route => ({
  epoch: 1,
  home: HOME,
  stages: workers.map((worker, index) => ({ worker, depths: { first: index, end: index + 1 } })),
});

/** A front door of a worker without a step, whose peers open no stage until the test says so. */
function doorOf(maxDepth: number) {
  const { manifest, digest } = testBundle({ prelude: 0, coda: 0, maxDepth });
  const opening = Promise.withResolvers<void>();
  const tenants = new Tenants();
  const door = new FrontDoor({
    ...{ self: 'here', bundleDigest: digest, manifest, tenants },
    pools: new KvPools({ prelude: 1, block: 65, coda: 1 }, manifest.pagePositions),
    peers: { openStage: () => opening.promise } as unknown as PeerLinks,
    ready: () => undefined,
    spent: () => undefined,
    wake: (reader) => reader(),
    prefixSought: () => undefined,
    closed(home: HomeSequence) {
      tenants.remove(home);
      home.residency.close();
      opening.reject(new RondoError('CANCELLED', 'the sequence was closed'));
    },
  });
  const open = (...args: Parameters<typeof testSpec>) =>
    door.open(testSpec(...args), new AbortController().signal);
  return { open, tenants };
}

test('an opening that fails from inside says why, and not that the others were called off', async () => {
  const { open, tenants } = doorOf(2);
  const opened = open(routeOver(HOME, NEXT));
  tenants.failAll(new RondoError('WORKER_LOST', 'worker next is gone'));
  await assert.rejects(opened, { code: 'WORKER_LOST', message: 'worker next is gone' });
});

test('a sequence goes on behind more tokens than a call takes arguments', async () => {
  const { open } = doorOf(1);
  const emitted = Array.from({ length: 300_000 }, () => ({ id: 1, passes: 1 }));
  const home = await open(routeOver(HOME), { emitted, maxTokens: emitted.length });
  assert.ok(home.open);
});

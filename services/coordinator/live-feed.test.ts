import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ManualClock } from '@rondo/core';
import { LiveFeed } from './live-feed.ts';
import type { Model } from './model.ts';
import { Models } from './models.ts';

/** A model without workers, with so many requests in flight and so many of their sequences in line. */
const busy = (name: string, inFlight: number, waiting: number): Model =>
  ({
    name,
    bundle: { manifest: { maxDepth: 4 } },
    membership: { links: [] },
    service: {
      admission: { inFlight, inFlightMax: 16, draining: false },
      generation: { waiting, reservedShare: 0 },
    },
  }) as unknown as Model;

test('a frame tells of what runs and waits at all models together', () => {
  const { running, waiting } = new LiveFeed(
    new Models([busy('full', 12, 10), busy('idle', 1, 0), busy('other', 3, 2)]),
    new ManualClock(),
  ).frame;
  assert.deepEqual({ running, waiting }, { running: 16, waiting: 12 });
});

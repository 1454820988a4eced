import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Pulse } from '@rondo/wire';
import { Heartbeat } from './heartbeat.ts';

const load = { sequences: 0, sequencesMax: 8, freePositions: 10, totalPositions: 10, stepMs: 0, hopMs: 0 };
const progress = { steps: 3, stillMs: 0, runningMs: 1 };
const work = { runs: 2, depthRows: [4, 1] };

test('a watcher hears at once how the worker is, again at a change, and nothing after it has left', async () => {
  let state: Pulse['state'] = 'serving';
  const heart = new Heartbeat(() => ({ state, load, progress, work }));
  const watcher = new AbortController();
  const pulses = heart.pulses(watcher.signal);
  assert.deepEqual((await pulses.next()).value, { state: 'serving', load, progress, work });
  const next = pulses.next();
  state = 'draining';
  heart.changed();
  assert.deepEqual((await next).value, { state: 'draining', load, progress, work });
  const last = pulses.next();
  watcher.abort();
  assert.equal((await last).done, true);
});

test('a watcher hears a pulse without any change', async () => {
  const heart = new Heartbeat(() => ({ state: 'serving', load, progress, work }));
  const pulses = heart.pulses(new AbortController().signal);
  await pulses.next();
  assert.equal((await pulses.next()).value?.state, 'serving');
  await pulses.return();
});

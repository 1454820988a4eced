import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { RondoProcess } from '../rondo-process.ts';
import type { Cable } from './cable.ts';
import type { Slot } from './chaos-cluster.ts';
import { type FaultRunOptions, runFaults } from './fault-run.ts';

const slot = (name: string, runs: boolean): Slot => ({
  ...{ name, port: 0, starting: Promise.resolve(), leaving: Promise.resolve() },
  cable: { address: name, heal: () => {} } as unknown as Cable,
  process: runs ? ({ kill: () => {} } as unknown as RondoProcess) : undefined,
});
const nothing = () => {};

/** A run in which nothing waits: who does not serve at once never will. */
const run = (more: Partial<FaultRunOptions> & Pick<FaultRunOptions, 'health'>) =>
  runFaults({
    cluster: {
      slots: [slot('worker-0', true), slot('worker-1', true), slot('worker-2', false)],
      ...{ kill: nothing, drain: nothing, join: nothing, bringBack: nothing },
    },
    ...{ nats: undefined, walk: [], seed: 1, least: 1, everyMs: 0, forMs: 60_000, faults: 10, returnMs: 0 },
    ...{ signal: new AbortController().signal, onStep: nothing },
    ...more,
  });

test('who has a process in the end and never serves is stuck, also beside one that does', async () => {
  const health = { serving: (address: string) => address === 'worker-0' };
  assert.deepEqual((await run({ health })).stuck, ['worker-1']);
  // Also where no worker need be left, and faults never wait for one.
  const walk = [{ action: 'kill', slot: 2, gap: 0 }] as const;
  assert.deepEqual((await run({ health, least: 0, walk })).stuck, ['worker-1']);
});

test('where all that have a process serve, nobody is stuck', async () => {
  const health = { serving: (address: string) => address !== 'worker-2' };
  assert.deepEqual((await run({ health })).stuck, []);
});

test('a worker that no coordinator sees is stuck once, and ends the walk', async () => {
  const walk = [
    { action: 'kill', slot: 2, gap: 0 },
    { action: 'kill', slot: 2, gap: 0 },
  ] as const;
  const { steps, stuck } = await run({ health: { serving: () => false }, walk });
  assert.deepEqual([steps, stuck], [[], ['worker-0', 'worker-1']]);
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { address, type ExitRule, isHomed, workerId } from '@rondo/core';
import { type Demand, place, type WorkerView } from './placement.ts';

const full: ExitRule = { policy: 'none', threshold: 0, minDepth: 1, maxDepth: 4 };
const demand: Demand = { placement: 'homed', exit: full, kvPolicy: 'last-exited', maxDepth: 4, epoch: 7 };

const worker = (
  id: string,
  reservedPositions: number,
  state: WorkerView['state'] = 'serving',
): WorkerView => ({
  worker: { id: workerId(id), address: address(`${id}:1`) },
  state,
  reservedPositions,
  freePositions: 100 - reservedPositions,
  totalPositions: 100,
  stepMs: 10,
});

const described = (view: WorkerView[], asked: Demand): string[] | undefined =>
  place(view, asked)?.stages.map((stage) => `${stage.worker.id} ${stage.depths.first}-${stage.depths.end}`);

test('a homed sequence goes whole to the worker with the fewest reserved positions', () => {
  const route = place([worker('a', 30), worker('b', 10), worker('c', 20)], demand);
  assert.ok(route !== undefined && isHomed(route));
  assert.equal(route.home.id, 'b');
  assert.equal(route.epoch, 7);
  assert.deepEqual(described([worker('b', 10)], demand), ['b 0-4']);
});

test('equally loaded workers are taken in the order of their ids', () => {
  assert.equal(place([worker('b', 5), worker('a', 5)], demand)?.home.id, 'a');
});

test('a staged sequence is split over all workers in listed order, beginning at the least loaded', () => {
  const view = [worker('a', 9), worker('b', 9), worker('c', 0)];
  const staged: Demand = { ...demand, placement: 'staged' };
  assert.deepEqual(described(view, staged), ['c 0-2', 'a 2-3', 'b 3-4']);
  assert.equal(place(view, staged)?.home.id, 'c');
});

test('no stage is without a pass when there are more workers than depths', () => {
  const view = ['a', 'b', 'c', 'd', 'e'].map((id) => worker(id, 0));
  assert.equal(place(view, { ...demand, placement: 'staged' })?.stages.length, 4);
});

test('a sequence whose exits need its home stays homed even when staging is asked for', () => {
  const view = [worker('a', 0), worker('b', 0)];
  for (const exit of [
    { ...full, maxDepth: 3 },
    { ...full, policy: 'gate' as const },
  ]) {
    assert.deepEqual(described(view, { ...demand, placement: 'staged', exit }), ['a 0-4']);
    const propagated: Demand = { ...demand, placement: 'staged', kvPolicy: 'propagate', exit };
    assert.deepEqual(described(view, propagated), ['a 0-2', 'b 2-4']);
  }
});

test('a worker that drains or is suspected takes nothing, neither as home nor as a stage', () => {
  const view = [worker('a', 0, 'draining'), worker('b', 9), worker('c', 0, 'suspected'), worker('d', 9)];
  assert.deepEqual(described(view, demand), ['b 0-4']);
  assert.deepEqual(described(view, { ...demand, placement: 'staged' }), ['b 0-2', 'd 2-4']);
  assert.equal(place(view.slice(0, 1), demand), undefined);
});

test('without a worker there is no route', () => {
  assert.equal(place([], demand), undefined);
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { address, type ExitRule, isHomed, workerId } from '@rondo/core';
import { type Demand, everFits, fitsWhole, place, type WorkerView } from './placement.ts';

const full: ExitRule = { policy: 'none', threshold: 0, minDepth: 1, maxDepth: 4 };
const demand: Demand = {
  placement: 'homed',
  exit: full,
  kvPolicy: 'last-exited',
  maxDepth: 4,
  pagePositions: 4,
  layersAtHome: false,
  promptRows: 10,
  maxTokens: 10,
  epoch: 7,
};

const worker = (
  id: string,
  reservedPositions: number,
  state: WorkerView['state'] = 'serving',
): WorkerView => ({
  worker: { id: workerId(id), address: address(`${id}:1`) },
  state,
  sequences: 0,
  homes: 0,
  reservedPositions,
  freePositions: 100 - reservedPositions,
  totalPositions: 100,
  stepMs: 10,
  hopMs: 0.5,
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

test('staged sequences begin in turn where the fewest of them live', () => {
  const staged: Demand = { ...demand, placement: 'staged' };
  const view = [worker('a', 9), { ...worker('b', 9), homes: 1 }, worker('c', 9)];
  assert.equal(place(view, staged)?.home.id, 'a');
  assert.equal(place(view.with(0, { ...view[0]!, homes: 1 }), staged)?.home.id, 'c');
});

test('a staged sequence that an equal stage would be too long for is cut by what its workers hold', () => {
  const large = { ...worker('a', 0), totalPositions: 1600 };
  const small = { ...worker('b', 0), totalPositions: 800 };
  const staged: Demand = { ...demand, placement: 'staged', pagePositions: 16, maxTokens: 100 };
  assert.deepEqual(described([large, small], { ...staged, promptRows: 1500 }), ['a 0-2', 'b 2-4']);
  assert.deepEqual(described([large, small], { ...staged, promptRows: 2000 }), ['a 0-3', 'b 3-4']);
  const atHome = { ...staged, layersAtHome: true, promptRows: 1000 };
  assert.equal(place([{ ...large, reservedPositions: 9 }, small], atHome)?.home.id, 'a', 'b cannot hold it');
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

const auto: Demand = { ...demand, placement: 'auto' };

test('by itself a sequence goes to the worker with the least to do', () => {
  const busy = (id: string, sequences: number, stepMs = 10) => ({ ...worker(id, 0), sequences, stepMs });
  assert.deepEqual(described([busy('a', 1), busy('b', 3), busy('c', 0)], auto), ['c 0-4']);
  assert.deepEqual(described([busy('a', 1), busy('b', 3), busy('c', 1, 5)], auto), ['c 0-4']);
  assert.deepEqual(described([busy('a', 5), busy('b', 4, 30), busy('c', 6)], auto), ['a 0-4']);
});

test('a worker without room for it is passed over while another has room', () => {
  const view = [worker('a', 90), worker('b', 50)];
  assert.deepEqual(described([{ ...view[0]!, sequences: 2 }, view[1]!], auto), ['b 0-4']);
  // Room that a pulse does not know of yet is booked already, and room that is booked may be free again soon.
  assert.deepEqual(described([{ ...worker('a', 90), freePositions: 100 }, view[1]!], auto), ['b 0-4']);
});

test('what no worker holds is split over as few as do, each by its room', () => {
  const long = { ...auto, promptRows: 100, maxTokens: 20 };
  const view = [worker('a', 0), worker('b', 0), worker('c', 40)];
  assert.deepEqual(described(view, long), ['a 0-2', 'b 2-4']);
  assert.deepEqual(described([worker('a', 20), worker('b', 60), worker('c', 60)], long), [
    'a 0-2',
    'b 2-3',
    'c 3-4',
  ]);
  const large = { ...worker('d', 0), freePositions: 200, totalPositions: 200 };
  assert.deepEqual(described([worker('a', 0), large], { ...long, maxTokens: 110 }), ['d 0-3', 'a 3-4']);
  // It is homed and refused there where nobody holds it: the worker's word decides, not this view.
  assert.equal(described([worker('a', 90), worker('b', 90)], long)?.length, 1);
  assert.equal(described(view, { ...long, layersAtHome: true })?.length, 1);
  assert.equal(described(view, { ...long, exit: { ...full, maxDepth: 2 } })?.length, 1);
});

test('a long prompt runs over the workers that have nothing else to do, if hops do not eat what that saves', () => {
  const idle = ['a', 'b', 'c'].map((id) => ({ ...worker(id, 0), freePositions: 9000, totalPositions: 9000 }));
  const long = { ...auto, promptRows: 4096, maxTokens: 100 };
  assert.deepEqual(described(idle, long), ['a 0-2', 'b 2-4']);
  const deep = { ...long, maxDepth: 6, exit: { ...full, maxDepth: 6 } };
  assert.deepEqual(described(idle, deep), ['a 0-2', 'b 2-4', 'c 4-6']);
  assert.deepEqual(described(idle, { ...long, promptRows: 600 }), ['a 0-4']);
  const [a, b] = idle as [WorkerView, WorkerView];
  assert.equal(described([a, { ...b, sequences: 1 }], long)?.length, 1);
  assert.equal(described([a, { ...b, hopMs: 20 }], { ...long, maxTokens: 4000 })?.length, 1);
});

test('without a worker there is no route', () => {
  assert.equal(place([], demand), undefined);
});

test('a sequence that stays whole fits what one worker holds when empty, one that may be split is not asked', () => {
  const view = [worker('a', 100), { ...worker('b', 0, 'draining'), totalPositions: 300 }];
  const long: Demand = { ...demand, promptRows: 150, maxTokens: 50 };
  assert.equal(everFits(view, { ...long, placement: 'homed' }), false, 'who drains does not stay');
  assert.equal(everFits(view, { ...long, placement: 'homed', promptRows: 50 }), true);
  assert.equal(everFits(view, { ...long, placement: 'auto' }), true);
  assert.equal(everFits(view, { ...long, placement: 'auto', layersAtHome: true }), false);
  const exit = { policy: 'confidence', threshold: 0.5, minDepth: 1, maxDepth: 4 } as const;
  assert.equal(everFits(view, { ...long, placement: 'auto', exit }), false, 'the head is at home');
});

test('a sequence fits whole where a serving worker has that much room now', () => {
  const long: Demand = { ...demand, promptRows: 50, maxTokens: 30 };
  assert.equal(fitsWhole([worker('a', 30), worker('b', 20)], long), true);
  assert.equal(fitsWhole([worker('a', 30), worker('b', 20, 'suspected')], long), false);
});

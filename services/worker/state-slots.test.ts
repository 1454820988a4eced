import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Chunk } from './chunk.ts';
import { StateSlots } from './state-slots.ts';

const WHERE = { self: 'here', maxDepth: 4, codaLayers: 1 };
const worker = (id: string) => ({ id, address: `${id}:1` });

/** A chunk of the block at depth 0 whose states lie in `slots`, or are here. */
function chunk({ rows = 1, slots, undecided, end = 4, exit = 'none' }: Partial<Settings> = {}): Chunk {
  const stages = [
    { worker: worker('here'), depths: { first: 0, end } },
    ...(end < 4 ? [{ worker: worker('there'), depths: { first: end, end: 4 } }] : []),
  ];
  const tenant = {
    kind: 'home',
    route: { home: worker('here'), stages },
    exitRule: () => ({ policy: exit, threshold: 0.5, minDepth: 1, maxDepth: 4 }),
  };
  const input = slots ? Int32Array.from(slots) : new Float32Array(rows * 8);
  return {
    ...{ tenant, phase: 'block', passes: 0, start: 0, rows: slots?.length ?? rows, input, owed: 0 },
    ...(undecided !== undefined && { undecided: Int32Array.of(undecided) }),
  } as unknown as Chunk;
}

interface Settings {
  readonly rows: number;
  readonly slots: readonly number[];
  readonly undecided: number;
  /** Depths before this one are run here. */
  readonly end: number;
  readonly exit: string;
}

const places = (capacity: number, waiting: readonly Chunk[], running: readonly Chunk[]) => {
  const { from, to, slots } = new StateSlots(capacity, { waiting: () => waiting }, WHERE).places(
    'block',
    running,
  );
  return { from: [...from], to: [...to], slots };
};

test('rows take the lowest slots that no waiting chunk names, the one they come from among them', () => {
  const waiting = [chunk({ slots: [0, 3] })];
  assert.deepEqual(places(9, waiting, [chunk({ slots: [1] }), chunk({ rows: 2 })]), {
    from: [1, -1, -1],
    to: [1, 2, 4],
    slots: 5,
  });
});

test('a state with which a row may return to the loop keeps its slot, waiting or running', () => {
  const waiting = [chunk({ slots: [1], undecided: 0 })];
  assert.deepEqual(places(9, waiting, [chunk({ slots: [3], undecided: 2 })]).to, [3]);
});

test('of two chunks with room for one the other goes to the host, and slots that wait are counted', () => {
  assert.deepEqual(places(3, [chunk({ slots: [2] })], [chunk({ rows: 2 }), chunk({ rows: 1 })]), {
    from: [-1, -1, -1],
    to: [0, 1, -1],
    slots: 3,
  });
});

test('rows that another worker runs next come back, and those that an exit may send elsewhere', () => {
  const running = [
    chunk({ end: 1 }),
    chunk({ end: 2 }),
    chunk({ end: 2, exit: 'gate' }),
    chunk({ exit: 'gate' }),
  ];
  assert.deepEqual(places(9, [], running).to, [-1, 0, -1, 1]);
});

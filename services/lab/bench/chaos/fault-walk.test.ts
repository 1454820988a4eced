import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RandomStream } from '../../load/random-stream.ts';
import {
  FAULTS,
  faultWalk,
  isFault,
  nextStep,
  type SlotState,
  type Step,
  type WalkOptions,
} from './fault-walk.ts';

const options: WalkOptions = { seed: 5, workers: 4, spares: 2, least: 1, nats: true };
const STEPS = 5000;

const walkOf = (more: Partial<WalkOptions> = {}): Step[] =>
  faultWalk({ ...options, ...more })
    .take(STEPS)
    .toArray();

/** The state that a step may be done to, and the one it leaves. */
const LEGAL: Readonly<Record<string, readonly [from: readonly SlotState[], to: SlotState]>> = {
  kill: [['serving', 'stopped', 'cut'], 'gone'],
  drain: [['serving'], 'gone'],
  stop: [['serving'], 'stopped'],
  cut: [['serving'], 'cut'],
  drop: [['serving'], 'serving'],
  reset: [['serving'], 'serving'],
  join: [['empty'], 'serving'],
  restart: [['gone'], 'serving'],
  continue: [['stopped'], 'serving'],
  heal: [['cut'], 'serving'],
};

/** Follows a walk; calls `look` with the number of serving workers after each step. */
function follow(steps: readonly Step[], nats: boolean, look: (serving: number) => void): void {
  const slots: SlotState[] = ['serving', 'serving', 'serving', 'serving', 'empty', 'empty'];
  for (const { action, slot } of steps) {
    if (action !== 'nats') {
      const [from, to] = LEGAL[action]!;
      assert.ok(from.includes(slots[slot]!), `${action} of a slot that is ${slots[slot]}`);
      slots[slot] = nats && action === 'drain' ? 'empty' : to;
    }
    look(slots.filter((state) => state === 'serving').length);
  }
}

test('every step is possible where it is done, and one worker always serves on', () => {
  for (let seed = 0; seed < 10; seed++) {
    follow(walkOf({ seed, nats: false }), false, (serving) => assert.ok(serving >= 1));
    follow(walkOf({ seed }), true, (serving) => assert.ok(serving >= 1));
  }
});

test('told so, a walk also leaves no worker at all, and goes on', () => {
  let none = 0;
  follow(walkOf({ least: 0 }), true, (serving) => {
    if (serving === 0) none++;
  });
  assert.ok(none > 0 && none < STEPS / 4, `${none} of ${STEPS} steps without a worker`);
});

test('a walk follows from its seed', () => {
  assert.deepEqual(walkOf(), walkOf());
  assert.notDeepEqual(walkOf(), walkOf({ seed: 6 }));
});

test('every kind of fault comes, NATS only where there is one', () => {
  const kinds = (steps: readonly Step[]) => new Set(steps.map(({ action }) => action).filter(isFault));
  assert.deepEqual(kinds(walkOf()), new Set(FAULTS));
  assert.ok(!kinds(walkOf({ nats: false })).has('nats'));
  const faults = walkOf().filter(({ action }) => isFault(action)).length;
  assert.ok(faults > STEPS / 2, `${faults} faults in ${STEPS} steps`);
});

test('with nobody to spare, somebody comes back', () => {
  for (let seed = 0; seed < 100; seed++) {
    const step = nextStep(
      ['serving', 'stopped', 'empty'],
      { workers: 2, least: 1, nats: false },
      new RandomStream(seed),
    );
    assert.deepEqual(step, { action: 'continue', slot: 1 });
  }
});

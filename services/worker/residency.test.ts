import assert from 'node:assert/strict';
import { test } from 'node:test';
import { KvPools } from './kv-pools.ts';
import { Residency } from './residency.ts';

const pools = () => new KvPools({ prelude: 11, block: 31, coda: 11 }, 16);
const HOMED = { positions: 40, depths: [0, 1, 2], preludeLayers: 1, codaLayers: 0 };

test('a sequence reserves all of its positions in every table it has, and nothing for stacks without layers', () => {
  const kv = pools();
  const residency = Residency.open(kv, HOMED)!;
  assert.deepEqual([kv.freePages('prelude'), kv.freePages('block'), kv.freePages('coda')], [7, 21, 10]);
  residency.close();
  kv.checkIdle();
});

test('when one pool is short, none is touched', () => {
  const kv = pools();
  assert.equal(Residency.open(kv, { ...HOMED, positions: 176 }), undefined);
  kv.checkIdle();
});

test('pages are taken as positions are reached, and stay', () => {
  const residency = Residency.open(pools(), HOMED)!;
  const [first] = residency.reach('block', 1, 16);
  const pages = residency.reach('block', 1, 17);
  assert.equal(pages.length, 2);
  assert.equal(pages[0], first);
  assert.deepEqual(residency.reach('coda', 0, 17), [], 'a stack without layers has no pages');
});

test('an exited row is copied to every deeper depth, into pages taken for it', () => {
  const residency = Residency.open(pools(), HOMED)!;
  const [from] = residency.reach('block', 0, 6);
  residency.copyDeeper(5, 0, 3);
  const [second, third] = [residency.reach('block', 1, 6)[0], residency.reach('block', 2, 6)[0]];
  assert.deepEqual(residency.drain('prelude', 0), []);
  assert.deepEqual(residency.drain('block', 1), [{ fromPage: from, toPage: second, slot: 5, slots: 1 }]);
  assert.deepEqual(residency.drain('block', 1), [], 'they are handed out once');
  assert.deepEqual(residency.drain('block', 2), [{ fromPage: from, toPage: third, slot: 5, slots: 1 }]);
  assert.equal(residency.written('block', 2), 6);
});

test('rows that exit one after the other are copied together, page by page and depth by depth', () => {
  const residency = Residency.open(pools(), { ...HOMED, depths: [0, 1] })!;
  const from = residency.reach('block', 0, 20);
  for (let position = 13; position < 19; position++) residency.copyDeeper(position, 0, 2);
  const to = residency.reach('block', 1, 19);
  assert.deepEqual(residency.drain('block', 1), [
    { fromPage: from[0], toPage: to[0], slot: 13, slots: 3 },
    { fromPage: from[1], toPage: to[1], slot: 0, slots: 3 },
  ]);
});

test('pages of a sequence in a running step are returned when the step ends', () => {
  const kv = pools();
  const residency = Residency.open(kv, HOMED)!;
  residency.enterStep();
  residency.close();
  assert.throws(() => kv.checkIdle(), /held though no sequence is here/);
  residency.leaveStep();
  kv.checkIdle();
});

test('a sequence in a running step makes no room for another before the step ends', () => {
  const kv = new KvPools({ prelude: 4, block: 10, coda: 4 }, 16);
  const leaving = Residency.open(kv, HOMED)!;
  assert.equal(Residency.fits(kv, HOMED, leaving), true);
  leaving.enterStep();
  assert.equal(Residency.fits(kv, HOMED, leaving), false);
  assert.equal(Residency.fits(kv, { ...HOMED, positions: 0 }, leaving), true, 'what is free anyway is room');
  leaving.leaveStep();
  assert.equal(Residency.fits(kv, HOMED, leaving), true);
});

test('a depth that runs elsewhere has no table here', () => {
  const residency = Residency.open(pools(), { ...HOMED, depths: [1] })!;
  assert.throws(() => residency.reach('block', 0, 1), /depth 0 of the block does not run on this worker/);
});

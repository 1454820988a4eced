import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LIMITS } from '@rondo/core';
import type { Chunk, Phase } from './chunk.ts';
import { Inbox } from './inbox.ts';
import type { Tenant } from './tenant.ts';

const route = { stages: [{ depths: { first: 0, end: 4 } }] };
const tenant = (name: string) => ({ sequenceId: name, route }) as unknown as Tenant;
const [wren, robin] = [tenant('wren'), tenant('robin')];

const chunk = (of: Tenant, phase: Phase, passes: number, start: number): Chunk => ({
  tenant: of,
  phase,
  passes,
  start,
  rows: 1,
  input: new Float32Array(1),
  survival: 1,
  wantLogits: false,
  owed: 0,
});

const offered = (inbox: Inbox): Chunk[] => inbox.fronts().map((front) => front.chunk);

test('of one sequence, phase and depth only the earliest is on offer', () => {
  const inbox = new Inbox(() => false);
  const chunks = [chunk(wren, 'block', 1, 0), chunk(wren, 'block', 1, 1), chunk(wren, 'block', 0, 2)];
  for (const each of chunks) inbox.put(each);
  assert.deepEqual(offered(inbox), [chunks[0], chunks[2]]);
  inbox.take([chunks[0]!]);
  assert.deepEqual(new Set(offered(inbox)), new Set([chunks[1], chunks[2]]));
});

test('coda and head do not tell passes apart: their K/V have one depth', () => {
  const inbox = new Inbox(() => false);
  inbox.put(chunk(wren, 'coda', 2, 0));
  inbox.put(chunk(wren, 'coda', 1, 1));
  assert.equal(inbox.fronts().length, 1);
});

test('who ran steps behind the others', () => {
  const inbox = new Inbox(() => false);
  const chunks = [chunk(wren, 'block', 0, 0), chunk(wren, 'block', 0, 1), chunk(robin, 'block', 0, 0)];
  for (const each of chunks) inbox.put(each);
  inbox.take([chunks[0]!]);
  assert.deepEqual(offered(inbox), [chunks[2], chunks[1]]);
});

test('a removed sequence leaves nothing behind', () => {
  const inbox = new Inbox(() => false);
  inbox.put(chunk(wren, 'block', 0, 0));
  inbox.put(chunk(robin, 'head', 2, 0));
  inbox.remove(wren);
  assert.deepEqual(
    offered(inbox).map((each) => each.tenant),
    [robin],
  );
  inbox.remove(robin);
  assert.ok(inbox.empty);
});

test('owed rows wait as one chunk, and a row behind them takes them along', () => {
  const inbox = new Inbox(() => false);
  const owing = (start: number): Chunk => ({ ...chunk(wren, 'block', 1, start), owed: 1 });
  inbox.put(owing(5));
  inbox.put(owing(6));
  assert.deepEqual(
    inbox.fronts().map(({ rows, deferred }) => ({ rows, deferred })),
    [{ rows: 2, deferred: true }],
  );
  inbox.put(chunk(wren, 'block', 1, 7));
  const [front] = inbox.fronts();
  assert.equal(front?.deferred, false);
  assert.equal(front?.decodes, true);
  const { start, rows, owed, input } = front!.chunk;
  assert.deepEqual([start, rows, owed, input.length], [5, 3, 2, 3]);
});

test('a debt that fills a chunk is deferred no longer', () => {
  const inbox = new Inbox(() => false);
  for (let start = 0; start < LIMITS.prefillChunkRows; start++) {
    assert.ok(inbox.fronts().every((front) => front.deferred));
    inbox.put({ ...chunk(wren, 'block', 1, start), owed: 1 });
  }
  assert.equal(inbox.fronts()[0]!.deferred, false);
});

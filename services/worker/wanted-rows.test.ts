import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Chunk, Phase } from './chunk.ts';
import type { Tenant } from './tenant.ts';
import { wantedRows } from './wanted-rows.ts';

const PROMPT_ROWS = 10;
const WHERE = { self: 'w', maxDepth: 2, codaLayers: 0 };

const isGenerated = (position: number) => position >= PROMPT_ROWS;
/** Its head sees the prompt's last row and generated ones. */
const home = {
  kind: 'home',
  isGenerated,
  headNeed: ({ start, rows }: { start: number; rows: number }) =>
    start + rows < PROMPT_ROWS ? undefined : { rows: start + rows - Math.max(start, PROMPT_ROWS - 1) },
} as unknown as Tenant;
/** Its home has no layers behind the loop. */
const stage = { kind: 'stage', isGenerated, rowsForHome: () => 1 } as unknown as Tenant;

const chunk = (
  tenant: Tenant,
  start: number,
  rows: number,
  passes: number,
  phase: Phase = 'block',
): Chunk => ({
  ...{ tenant, phase, passes, start, rows, owed: 0, survival: 1, wantLogits: false },
  input: new Float32Array(rows),
});

test('of prompts in their last pass the head reads one row, or none, and everything of those that go on', () => {
  const [middle, end, shallow] = [chunk(home, 0, 4, 1), chunk(home, 4, 6, 1), chunk(home, 0, 3, 0)];
  assert.deepEqual(wantedRows('block', [middle], WHERE), []);
  assert.deepEqual(wantedRows('block', [end], WHERE), [5]);
  assert.deepEqual(wantedRows('block', [shallow, middle, end], WHERE), [0, 1, 2, 12]);
});

test('generated rows are all read, whatever of them only brings K and V up to full depth', () => {
  const owing = { ...chunk(home, PROMPT_ROWS, 3, 1), owed: 2 };
  assert.equal(wantedRows('block', [owing], WHERE), undefined);
  assert.deepEqual(wantedRows('block', [chunk(home, 0, 4, 1), owing], WHERE), [4, 5, 6]);
});

test('a coda reads all rows of the last pass, and the head behind it those that it would read behind the loop', () => {
  const where = { ...WHERE, codaLayers: 1 };
  assert.equal(wantedRows('block', [chunk(home, 0, 10, 1)], where), undefined);
  assert.deepEqual(wantedRows('coda', [chunk(home, 0, 10, 2, 'coda')], where), [9]);
  assert.equal(wantedRows('prelude', [chunk(home, 0, 10, 2, 'prelude')], WHERE), undefined);
});

test('of a sequence that lives elsewhere its home says how many rows it needs after the last pass', () => {
  assert.deepEqual(wantedRows('block', [chunk(stage, 0, 5, 1)], { ...WHERE, codaLayers: 1 }), [4]);
  assert.equal(wantedRows('block', [chunk(stage, 0, 5, 0)], WHERE), undefined);
});

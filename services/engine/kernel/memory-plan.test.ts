import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MemoryPlan } from './memory-plan.ts';

const MIB = 2 ** 20 / 4;

test('what does not fit beside what is laid out already is left out, down to its last area', () => {
  const plan = new MemoryPlan();
  plan.floats(4090 * MIB);
  const weights = () => [plan.floats(2 * MIB), plan.floats(5 * MIB)];
  assert.equal(plan.ifFits(weights), undefined);
  assert.equal(plan.pages, 4090 * 16, 'nothing is left of it');
  assert.deepEqual(
    plan.ifFits(() => plan.floats(6 * MIB)),
    4090 * 2 ** 20,
  );
  assert.equal(plan.pages, 65_536);
});

test('pages that exceed what a memory can have are refused with what to do', () => {
  const plan = new MemoryPlan();
  plan.floats(4097 * MIB);
  assert.throws(() => plan.allocate(), { code: 'CONFIG_INVALID', message: /4097 MiB.*smaller --kv-mb/ });
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { address, sequenceId, workerId } from '@rondo/core';
import { HostedStage } from './hosted-stage.ts';
import { Inbox } from './inbox.ts';
import type { Residency } from './residency.ts';
import { Tenants } from './tenants.ts';

function stage(name: string, background: boolean): HostedStage {
  const [home, self] = ['home', 'self'].map((id) => ({ id: workerId(id), address: address(`${id}:1`) }));
  const stages = [
    { worker: home!, depths: { first: 0, end: 1 } },
    { worker: self!, depths: { first: 1, end: 2 } },
  ];
  const exit = { policy: 'none', threshold: 0, minDepth: 1, maxDepth: 2 } as const;
  const terms = { exit, promptRows: 4, promptStates: false, background };
  const route = { epoch: 1, home: home!, stages };
  const hooks = { failed() {}, closed() {} };
  return new HostedStage({ sequenceId: sequenceId(name), route, ...terms }, {} as Residency, hooks);
}

test('a stage of a line gives way to others and hurries nobody, a stage of any other sequence does', () => {
  const tenants = new Tenants();
  const line = stage('line', true);
  tenants.add(line);
  assert.equal(tenants.hurried, false);
  const other = stage('other', false);
  tenants.add(other);
  assert.equal(tenants.hurried, true);
  const inbox = new Inbox(() => false);
  const row = {
    phase: 'block',
    passes: 1,
    start: 4,
    rows: 1,
    survival: 1,
    wantLogits: false,
    owed: 0,
  } as const;
  for (const tenant of [line, other]) inbox.put({ ...row, tenant, input: new Float32Array(1) });
  assert.deepEqual(
    inbox.fronts().map(({ background }) => background),
    [true, false],
  );
});

test('the share of a run follows who comes and goes, and an epoch that takes the place of an older one counts once', () => {
  const times = { stepMs: 4, hopMs: 0 };
  const tenants = new Tenants();
  const sequences = Array.from({ length: 8 }, (_, index) => stage(`s${index}`, false));
  for (const sequence of sequences) tenants.add(sequence);
  assert.equal(tenants.decodingShare(times), 4);
  tenants.add(stage('s0', false));
  assert.equal(tenants.decodingShare(times), 4);
  tenants.remove(sequences[0]!);
  assert.equal(tenants.decodingShare(times), 4, 'it had gone before');
  for (const sequence of sequences.slice(1, 5)) tenants.remove(sequence);
  assert.equal(tenants.decodingShare(times), 2);
  assert.equal(tenants.decodingShare({ stepMs: 4, hopMs: 100 }), 1);
});

test('a worker is homed when no sequence on it has stages elsewhere', () => {
  const tenants = new Tenants();
  assert.equal(tenants.homed, true);
  const staged = stage('s0', false);
  tenants.add(staged);
  assert.equal(tenants.homed, false);
  tenants.remove(staged);
  assert.equal(tenants.homed, true);
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { address, LIMITS, RondoError, type Route, workerId } from '@rondo/core';
import { causeOf, contradicts, goesOn, type Loss } from './loss.ts';

const loss = (worker: string, code: RondoError['code'] = 'WORKER_LOST'): Loss => ({
  worker: workerId(worker),
  error: new RondoError(code, 'test'),
});

const nobody = () => false;
const everybody = () => true;
const lossesOf = (count: number): Loss[] => Array.from({ length: count }, (_, index) => loss(`w${index}`));

test('a sequence goes on after losses, but does not take all workers along', () => {
  assert.equal(goesOn(lossesOf(LIMITS.lossesMax - 1), nobody), true);
  assert.equal(goesOn(lossesOf(LIMITS.lossesMax), nobody), false);
});

test('a worker that was heard of again did not die of the sequence', () => {
  assert.equal(
    goesOn(lossesOf(LIMITS.lossesMax), (worker) => worker === workerId('w0')),
    true,
  );
  assert.equal(goesOn([...lossesOf(LIMITS.lossesMax - 1), loss('w0')], nobody), true);
});

test('no sequence goes on for ever without a token', () => {
  assert.equal(goesOn(lossesOf(LIMITS.lossesInAllMax - 1), everybody), true);
  assert.equal(goesOn(lossesOf(LIMITS.lossesInAllMax), everybody), false);
});

test('a worker that has failed it twice and still lives is not made to fail a third time', () => {
  assert.equal(goesOn([loss('a', 'ENGINE_FAILED')], nobody), true);
  assert.equal(goesOn([loss('a', 'ENGINE_FAILED'), loss('b', 'ENGINE_FAILED')], nobody), true);
  assert.equal(goesOn([loss('a', 'ENGINE_FAILED'), loss('a', 'ENGINE_FAILED')], nobody), false);
  assert.equal(goesOn([loss('a', 'ENGINE_FAILED'), loss('a'), loss('a', 'INTERNAL')], nobody), false);
});

test('workers that contradict a sequence or stand still count as lost, though they live', () => {
  for (const code of ['WORKER_FAULTY', 'WORKER_STUCK'] as const) {
    const unfit = Array.from({ length: LIMITS.lossesMax }, (_, index) => loss(`w${index}`, code));
    assert.equal(goesOn(unfit.slice(1), everybody), true);
    assert.equal(goesOn(unfit, everybody), false);
  }
});

test('every loss has a cause for the metric', () => {
  const causes = (
    [
      'WORKER_LOST',
      'CANCELLED',
      'PROTOCOL_MISMATCH',
      'WORKER_FAULTY',
      'WORKER_STUCK',
      'ENGINE_FAILED',
      'INTERNAL',
    ] as const
  ).map((code) => causeOf(new RondoError(code, 'test')));
  assert.deepEqual(causes, ['lost', 'lost', 'malformed', 'faulty', 'stuck', 'engine', 'other']);
});

test('a home is to blame for what it says, and for what is badly formed only where no other worker can have said it', () => {
  const worker = { id: workerId('a'), address: address('a:1') };
  const routeOf = (stages: number): Route => ({
    epoch: 1,
    home: worker,
    stages: Array.from({ length: stages }, (_, first) => ({ worker, depths: { first, end: first + 1 } })),
  });
  const blames = (code: RondoError['code'], stages: number) =>
    contradicts(new RondoError(code, 'test'), routeOf(stages));
  assert.deepEqual([blames('WORKER_FAULTY', 1), blames('WORKER_FAULTY', 2)], [true, true]);
  assert.deepEqual([blames('PROTOCOL_MISMATCH', 1), blames('PROTOCOL_MISMATCH', 2)], [true, false]);
  assert.deepEqual([blames('WORKER_LOST', 1), blames('ENGINE_FAILED', 1)], [false, false]);
});

import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { LIMITS, ManualClock, type RondoError } from '@rondo/core';
import { RunWatchdog } from './run-watchdog.ts';
import { StepProgress } from './step-progress.ts';

const LIMIT_TURNS = LIMITS.hangMs / LIMITS.pulseMs;

function watched(context: TestContext, usualMs = 5) {
  context.mock.timers.enable({ apis: ['setInterval'] });
  const clock = new ManualClock();
  const progress = new StepProgress(clock);
  const hung: RondoError[] = [];
  const watchdog = new RunWatchdog(
    () => ({ progress: progress.now, usualMs }),
    (error) => hung.push(error),
  );
  const turns = (count: number) => {
    for (let turn = 0; turn < count; turn++) {
      clock.advance(LIMITS.pulseMs);
      context.mock.timers.tick(LIMITS.pulseMs);
    }
  };
  return { clock, progress, watchdog, turns, hung };
}

test('a run that does not end within the limit is told once, with how long it has lasted', (context) => {
  const { progress, turns, hung } = watched(context);
  progress.began();
  turns(LIMIT_TURNS);
  assert.equal(hung.length, 0);
  turns(LIMIT_TURNS);
  assert.equal(hung.length, 1);
  assert.equal(hung[0]!.code, 'WORKER_STUCK');
  assert.match(hung[0]!.message, /120\.5 s, runs here usually take 5\.0 ms/);
});

test('many runs that end are no hang, however long nothing else happens', (context) => {
  const { progress, turns, hung } = watched(context);
  for (let run = 0; run < 5; run++) {
    progress.began();
    turns(LIMIT_TURNS);
    progress.ended();
    turns(3 * LIMIT_TURNS);
  }
  assert.equal(hung.length, 0);
});

test('a process that was frozen for an hour in the middle of a run was away for one turn', (context) => {
  const { clock, progress, turns, hung } = watched(context);
  progress.began();
  turns(1);
  clock.advance(3_600_000);
  turns(LIMIT_TURNS - 1);
  assert.equal(hung.length, 0);
});

test('a worker whose runs take long has as many times longer', (context) => {
  const { progress, turns, hung } = watched(context, 1000);
  progress.began();
  turns((LIMITS.hangSteps * 1000) / LIMITS.pulseMs + 1);
  assert.equal(hung.length, 0);
  turns(1);
  assert.equal(hung.length, 1);
});

test('a watchdog that was ended says nothing', (context) => {
  const { progress, watchdog, turns, hung } = watched(context);
  progress.began();
  watchdog.end();
  turns(2 * LIMIT_TURNS);
  assert.equal(hung.length, 0);
});

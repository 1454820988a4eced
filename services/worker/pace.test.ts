import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Pace } from './pace.ts';

test('the pace begins with the first run of the block and follows the newest ones', () => {
  const pace = new Pace();
  pace.ran({ phase: 'prelude', stepMs: 1000 });
  assert.equal(pace.stepMs, 0);
  pace.ran({ phase: 'block', stepMs: 10 });
  assert.equal(pace.stepMs, 10);
  for (let run = 0; run < 50; run++) pace.ran({ phase: 'block', stepMs: 20 });
  assert.ok(pace.stepMs > 19.9 && pace.stepMs < 20, String(pace.stepMs));
});

test('the way out takes what the runs of coda and head take', () => {
  const pace = new Pace();
  assert.equal(pace.leavingMs, 0);
  pace.ran({ phase: 'head', stepMs: 3 });
  pace.ran({ phase: 'coda', stepMs: 2 });
  pace.ran({ phase: 'block', stepMs: 10 });
  assert.equal(pace.leavingMs, 5);
});

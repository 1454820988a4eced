import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Admission, admissionDecision } from './admission.ts';

test('requests are admitted up to the bound, and refused as overload beyond it', () => {
  const admission = new Admission(2);
  const first = admission.enter();
  admission.enter();
  assert.throws(() => admission.enter(), { code: 'OVERLOADED' });
  first.leave();
  first.leave();
  assert.equal(admission.inFlight, 1, 'a place is given back once');
  admission.enter();
  assert.throws(() => admission.enter(), { code: 'OVERLOADED' });
});

test('a draining coordinator admits nobody and does not ask anybody to come back', () => {
  const admission = new Admission(2);
  admission.drain();
  assert.throws(() => admission.enter(), { code: 'NO_WORKER' });
  assert.equal(admissionDecision({ inFlight: 2, inFlightMax: 2, draining: true }), 'refuse-draining');
});

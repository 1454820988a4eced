import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LIMITS, workerId } from '@rondo/core';
import { RowLedger } from './row-ledger.ts';

const ALL = LIMITS.linkCreditRows;

function opened() {
  const grants: number[] = [];
  const ledger = new RowLedger(workerId('peer'), (rows) => grants.push(rows));
  return { ledger, grants };
}

test('a link may send as many rows as it has credit for from its beginning on', () => {
  const { ledger, grants } = opened();
  assert.deepEqual(grants, [ALL]);
  ledger.arrived(ALL);
});

test('rows are granted again once a quarter of them has arrived, and only when there is room', () => {
  const { ledger, grants } = opened();
  ledger.arrived(ALL / 4 - 1);
  ledger.renew();
  assert.deepEqual(grants, [ALL]);
  ledger.arrived(1);
  assert.deepEqual(grants, [ALL], 'arriving by itself grants nothing');
  ledger.renew();
  assert.deepEqual(grants, [ALL, ALL / 4]);
  ledger.renew();
  assert.deepEqual(grants, [ALL, ALL / 4]);
});

test('what was held back is granted in one go', () => {
  const { ledger, grants } = opened();
  ledger.arrived(ALL / 2);
  ledger.arrived(ALL / 2);
  ledger.renew();
  assert.deepEqual(grants, [ALL, ALL]);
});

test('more rows than were granted end the link, naming the peer and both numbers', () => {
  const { ledger } = opened();
  ledger.arrived(ALL - 1);
  assert.throws(() => ledger.arrived(2), {
    code: 'PROTOCOL_MISMATCH',
    message: /^worker peer sent 2 rows with 1 granted/,
  });
});

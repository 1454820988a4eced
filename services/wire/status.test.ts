import assert from 'node:assert/strict';
import { test } from 'node:test';
import { address, RondoError } from '@rondo/core';
import { fromStatus, toStatus } from './status.ts';

const PEER = address('10.0.0.1:7600');

test('an error and the field at fault survive the way, whatever is in their names', () => {
  const sent = new RondoError('INVALID_REQUEST', 'no such bias', { param: 'logit_bias.ä 100%' });
  const { code, message, param } = fromStatus(toStatus(sent), PEER);
  assert.deepEqual([code, message, param], ['INVALID_REQUEST', 'no such bias', 'logit_bias.ä 100%']);
});

test('a field at fault that no worker of ours would have written so is left out, and the error stays', () => {
  const status = toStatus(new RondoError('KV_EXHAUSTED', 'full', { param: 'max_tokens' }));
  status.metadata.set('rondo-error-param', '100%');
  const { code, message, param } = fromStatus(status, PEER);
  assert.deepEqual([code, message, param], ['KV_EXHAUSTED', 'full', undefined]);
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { resourceAttributes } from './trace-options.ts';

test('attributes of the resource are pairs, percent-encoded, whose values may have equals signs', () => {
  assert.deepEqual(resourceAttributes(''), {});
  assert.deepEqual(resourceAttributes('zone=b, token=YQ==,team=one%2Ctwo'), {
    zone: 'b',
    token: 'YQ==',
    team: 'one,two',
  });
});

test('attributes that are no pairs are refused by the name of their variable', () => {
  for (const written of ['zone', '=b', 'zone=%zz', 'a=b,c']) {
    assert.throws(() => resourceAttributes(written), {
      code: 'CONFIG_INVALID',
      message: /^OTEL_RESOURCE_ATTRIBUTES .*: expected key=value/,
    });
  }
});

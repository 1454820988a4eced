import assert from 'node:assert/strict';
import { test } from 'node:test';
import { choice, settings, text, unsetWhenEmpty } from './settings.ts';

const declared = {
  placement: choice('RONDO_PLACEMENT', ['homed', 'staged'], 'homed'),
  model: text('RONDO_MODEL', 'built-in'),
};

const invalid = (message: RegExp) => ({ code: 'CONFIG_INVALID', message });

test('a setting comes from the environment, else its default', () => {
  assert.deepEqual(settings(declared, { RONDO_PLACEMENT: 'staged' }), {
    placement: 'staged',
    model: 'built-in',
  });
});

test('the environment of the process is read when none is given', () => {
  process.env.RONDO_TEST_SETTING = 'here';
  try {
    assert.equal(settings({ value: text('RONDO_TEST_SETTING', 'default') }).value, 'here');
  } finally {
    delete process.env.RONDO_TEST_SETTING;
  }
});

test('settings are frozen', () => {
  assert.ok(Object.isFrozen(settings(declared, {})));
});

test('a malformed value is an error that names variable, value and what is expected, never the default', () => {
  const faults: [string, string, RegExp][] = [
    ['RONDO_PLACEMENT', 'Homed', /^RONDO_PLACEMENT="Homed": expected one of homed, staged$/],
    ['RONDO_MODEL', '', /^RONDO_MODEL="": expected a text$/],
  ];
  for (const [variable, value, message] of faults) {
    assert.throws(() => settings(declared, { [variable]: value }), invalid(message));
  }
});

test('all faults are told at once, a missing setting among them', () => {
  const required = { ...declared, key: text('RONDO_KEY') };
  assert.throws(
    () => settings(required, { RONDO_PLACEMENT: 'x' }),
    invalid(/^RONDO_PLACEMENT="x": .*\nRONDO_KEY is not set: expected a text$/),
  );
});

test('a variable that is set to nothing counts as unset where that is said, and is checked when it is set', () => {
  const placement = unsetWhenEmpty(declared.placement);
  assert.equal(settings({ placement }, { RONDO_PLACEMENT: '' }).placement, 'homed');
  assert.equal(settings({ placement }, { RONDO_PLACEMENT: 'staged' }).placement, 'staged');
  for (const found of ['Homed', ' ']) {
    assert.throws(() => settings({ placement }, { RONDO_PLACEMENT: found }), invalid(/expected one of/));
  }
});

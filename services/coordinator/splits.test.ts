import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { RondoError } from '@rondo/core';
import { checkSpread, type Spread } from './splits.ts';

const MODELS = ['orig', 'looped'];
const split = (name: string, ...variants: [string, number][]) => ({
  name,
  variants: variants.map(([model, weight]) => ({ model, weight })),
});
const good = split('chat', ['orig', 90], ['looped', 0]);

test('a spread that can be followed is taken as it is', () => {
  const spread: Spread = { splits: [good], shadows: [{ of: 'chat', model: 'looped', share: 0.05 }] };
  assert.equal(checkSpread(spread, MODELS).splits, spread.splits);
  checkSpread({ splits: [], shadows: [{ of: 'orig', model: 'looped', share: 1 }] }, MODELS);
});

test('a spread that contradicts the models or itself is refused, naming the option', () => {
  const shadow = { of: 'chat', model: 'looped', share: 0.5 };
  const wrong: [Partial<Spread>, RegExp][] = [
    [{ splits: [split('orig', ['looped', 1])] }, /--route orig: a model has that name/],
    [{ splits: [good, good] }, /--route chat is there twice/],
    [
      { splits: [split('x', ['orig', 1], ['nobody', 1])] },
      /--route x: there is no model 'nobody'.*'orig', 'looped'/,
    ],
    [{ splits: [split('x', ['orig', 1], ['orig', 2])] }, /--route x: 'orig' is there twice/],
    [{ splits: [split('x', ['orig', 0], ['looped', 0])] }, /--route x: one weight at least/],
    [{ splits: [split('x', ['chat', 1]), good] }, /there is no model 'chat'/],
    [
      { splits: Array.from({ length: 17 }, (_, n) => split(`x${n}`, ['orig', 1])) },
      /--route is there 17 times/,
    ],
    [{ shadows: [shadow] }, /--shadow chat=looped: nobody can ask for 'chat'/],
    [{ splits: [good], shadows: [{ ...shadow, model: 'chat' }] }, /there is no model 'chat'/],
    [{ shadows: [{ ...shadow, of: 'looped' }] }, /cannot shadow itself/],
    [{ splits: [good], shadows: [shadow, { ...shadow, share: 1 }] }, /--shadow chat=looped is there twice/],
  ];
  for (const [spread, message] of wrong) {
    assert.throws(
      () => checkSpread({ splits: [], shadows: [], ...spread }, MODELS),
      (error: RondoError) => {
        assert.equal(error.code, 'CONFIG_INVALID');
        assert.match(error.message, message);
        return true;
      },
    );
  }
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LIMITS } from '@rondo/core';
import { isShadowed, type Split, shadowRoom, stickyKey, variantOf } from './variant-policy.ts';

const split = (weights: Readonly<Record<string, number>>): Split => ({
  name: 'chat',
  variants: Object.entries(weights).map(([model, weight]) => ({ model, weight })),
});

const KEYS = Array.from({ length: 20_000 }, (_, index) => `user ${index}`);

test('a user stays with one variant whatever the session, a session does, and a request sent again', () => {
  assert.equal(stickyKey({ user: 'u', session: 's', request: '1' }), stickyKey({ user: 'u', request: '2' }));
  assert.equal(stickyKey({ session: 's', request: '1' }), stickyKey({ session: 's', request: '2' }));
  assert.equal(stickyKey({ request: '1' }), stickyKey({ request: '1' }));
  const keys = [{ user: 'x' }, { session: 'x' }, {}].map((marks) => stickyKey({ request: 'x', ...marks }));
  assert.equal(new Set(keys).size, 3, 'a user is not a session of that name');
});

test('a user or a session without a name is none', () => {
  const [session, request] = ['s', '1'];
  assert.equal(stickyKey({ user: '', session, request }), stickyKey({ session, request }));
  assert.equal(stickyKey({ user: '', session: '', request }), stickyKey({ request }));
});

test('a key always gets the same variant, in whatever order they are written', () => {
  const [one, other] = [split({ a: 3, b: 2, c: 1 }), split({ c: 1, b: 2, a: 3 })];
  for (const key of KEYS.slice(0, 500)) assert.equal(variantOf(one, key), variantOf(other, key));
});

/** χ² of what was counted; the 99.9th percentile of one degree of freedom is 10.8, of two 13.8. */
function chiSquare(weights: Readonly<Record<string, number>>): number {
  const counts = new Map<string, number>();
  for (const key of KEYS) {
    const model = variantOf(split(weights), key);
    counts.set(model, (counts.get(model) ?? 0) + 1);
  }
  const sum = Object.values(weights).reduce((total, weight) => total + weight, 0);
  return Object.entries(weights)
    .filter(([, weight]) => weight > 0)
    .reduce((total, [model, weight]) => {
      const expected = (KEYS.length * weight) / sum;
      return total + ((counts.get(model) ?? 0) - expected) ** 2 / expected;
    }, 0);
}

test('variants get their shares of many users', () => {
  assert.ok(chiSquare({ orig: 90, looped: 10 }) < 10.8);
  assert.ok(chiSquare({ orig: 1, looped: 1 }) < 10.8);
  assert.ok(chiSquare({ a: 5, b: 3, c: 2 }) < 13.8);
});

test('a weight of 0 takes nobody, and the only other takes all', () => {
  for (const key of KEYS.slice(0, 500)) assert.equal(variantOf(split({ off: 0, on: 1 }), key), 'on');
});

test('a weight that rises moves users to its variant alone, and no more than it must', () => {
  const [before, after] = [split({ a: 60, b: 30, c: 10 }), split({ a: 60, b: 30, c: 30 })];
  let moved = 0;
  for (const key of KEYS) {
    const [from, to] = [variantOf(before, key), variantOf(after, key)];
    if (from === to) continue;
    assert.equal(to, 'c');
    moved++;
  }
  // From a tenth to a quarter: 15 % of all, give or take four standard deviations.
  const expected = KEYS.length * 0.15;
  assert.ok(Math.abs(moved - expected) < 4 * Math.sqrt(expected * 0.85), `${moved} moved`);
});

test('shadows take their share of requests, whichever variant those got', () => {
  const rule = { of: 'chat', model: 'looped', share: 0.05 };
  const halves = split({ a: 1, b: 1 });
  const shadowed = KEYS.filter((key) => isShadowed(rule, key));
  const near = (count: number, of: number, share: number) =>
    assert.ok(Math.abs(count - of * share) < 4 * Math.sqrt(of * share * (1 - share)), `${count} of ${of}`);
  near(shadowed.length, KEYS.length, 0.05);
  near(shadowed.filter((key) => variantOf(halves, key) === 'a').length, shadowed.length, 0.5);
  assert.ok(KEYS.slice(0, 100).every((key) => isShadowed({ ...rule, share: 1 }, key)));
});

test('anything speaks against a shadow', () => {
  const idle = { draining: false, shadows: 0, waiting: 0, inFlight: 0, inFlightMax: 256, reservedShare: 0 };
  assert.equal(shadowRoom(idle), 'start');
  assert.equal(shadowRoom({ ...idle, draining: true, waiting: 1 }), 'draining');
  assert.equal(shadowRoom({ ...idle, shadows: LIMITS.shadowsMax }), 'shadows-full');
  assert.equal(shadowRoom({ ...idle, waiting: 1 }), 'model-busy');
  assert.equal(shadowRoom({ ...idle, inFlight: 128 }), 'model-busy');
  assert.equal(shadowRoom({ ...idle, reservedShare: 0.5 }), 'memory-full');
});

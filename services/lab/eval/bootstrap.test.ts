import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RandomStream } from '../load/random-stream.ts';
import { bootstrap } from './bootstrap.ts';

const mean = (values: readonly number[]) => (drawn: Uint32Array) =>
  values.reduce((sum, value, at) => sum + drawn[at]! * value, 0) /
  drawn.reduce((sum, times) => sum + times, 0);

/** Roughly normal with deviation 1. */
const noise = (random: RandomStream) =>
  Array.from({ length: 12 }, () => random.next()).reduce((sum, value) => sum + value, -6);

test('of many experiments with a known difference, as many intervals hold it as the confidence says', () => {
  const random = new RandomStream(11);
  const difference = 0.3;
  let [holding, excludingZero] = [0, 0];
  const experiments = 400;
  for (let experiment = 0; experiment < experiments; experiment++) {
    // Units vary far more than the models differ: only pairing tells them apart.
    const units = Array.from({ length: 60 }, () => {
      const base = 5 * noise(random);
      return { a: base, b: base + difference + 0.5 * noise(random) };
    });
    const [a, b] = [mean(units.map((unit) => unit.a)), mean(units.map((unit) => unit.b))];
    const { low, high } = bootstrap(units.length, (drawn) => b(drawn) - a(drawn), {
      samples: 400,
      confidence: 0.9,
      seed: experiment,
    });
    if (low <= difference && difference <= high) holding++;
    if (low > 0) excludingZero++;
  }
  // 90 % ± 4 standard errors of 400 experiments, and a little less for the percentile method.
  assert.ok(holding / experiments > 0.83 && holding / experiments < 0.96, `${holding} of ${experiments}`);
  assert.ok(excludingZero / experiments > 0.95, `${excludingZero} of ${experiments} see the difference`);
});

test('two models that are equal on every unit differ by nothing, surely', () => {
  const values = [3, 1, 4, 1, 5];
  const found = bootstrap(5, (drawn) => mean(values)(drawn) - mean(values)(drawn), {
    samples: 100,
    confidence: 0.95,
    seed: 1,
  });
  assert.deepEqual(found, { value: 0, low: 0, high: 0 });
});

test('a seed gives the same interval each time, another seed another one', () => {
  const values = Array.from({ length: 40 }, (_, at) => Math.sin(at));
  const run = (seed: number) => bootstrap(40, mean(values), { samples: 200, confidence: 0.95, seed });
  assert.deepEqual(run(5), run(5));
  assert.notDeepEqual(run(5), run(6));
  assert.equal(run(5).value, run(6).value);
});

test('one unit tells nothing of how units vary, and none tells nothing at all', () => {
  const options = { samples: 100, confidence: 0.95, seed: 1 };
  assert.deepEqual(bootstrap(1, mean([3]), options), { value: 3, low: -Infinity, high: Infinity });
  assert.deepEqual(bootstrap(0, mean([]), options), { value: Number.NaN, low: -Infinity, high: Infinity });
});

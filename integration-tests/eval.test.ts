import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import { openBundle } from '@rondo/bundle';
import { type EvalReport, type EvalSuite, evalReport, evaluate, openSuite } from '@rondo/lab';
import { TinyBundle } from './tiny-bundle.ts';

const SUITE = new URL('./eval/tiny.yaml', import.meta.url).pathname;

describe('a tiny model beside itself and beside one of fewer passes', () => {
  let suite: EvalSuite;
  let report: EvalReport;
  before(async () => {
    await using three = await TinyBundle.make(3);
    await using two = await TinyBundle.make(2);
    const [a, b] = [await openBundle(three.directory), await openBundle(two.directory)];
    suite = await openSuite(SUITE);
    const evaluation = await evaluate({ a, bs: [a, b], suite, threads: 1 });
    report = await evalReport(evaluation, suite);
  });

  test('with all passes it agrees with itself everywhere and differs by nothing', () => {
    const same = report.differences.filter(
      ({ b, exit }) => b === 0 && exit.kind === 'depth' && exit.passes === 3,
    );
    const of = (metric: string) => same.find((difference) => difference.metric === metric)!;
    assert.deepEqual(of('agreement').ofB, 1);
    assert.deepEqual(of('kl').ofB, 0);
    assert.deepEqual(of('divergence').ofB, suite.settings.greedy.tokens);
    for (const { difference } of same) assert.deepEqual(difference, { value: 0, low: 0, high: 0 });
  });

  test('with fewer passes it does not', () => {
    for (const passes of [1, 2]) {
      const { difference } = report.differences.find(
        ({ b, exit, metric }) =>
          b === 0 && metric === 'kl' && exit.kind === 'depth' && exit.passes === passes,
      )!;
      assert.ok(
        difference.low > 0 && difference.low <= difference.value && difference.value <= difference.high,
      );
    }
  });
});

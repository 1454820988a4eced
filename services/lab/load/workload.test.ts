import assert from 'node:assert/strict';
import { test } from 'node:test';
import { arrivals } from './open-loop.ts';
import { RandomStream } from './random-stream.ts';
import { Workload } from './workload.ts';

const options = {
  seed: 7,
  promptTokens: { least: 4, most: 64 },
  outputTokens: { least: 16, most: 16 },
  ids: { first: 100, last: 199 },
};

test('a request follows from seed and index alone, and its lengths and ids stay in their ranges', () => {
  const [workload, again] = [new Workload(options), new Workload(options)];
  const requests = Array.from({ length: 300 }, (_, index) => workload.request(index));
  assert.deepEqual(again.request(211), requests[211]);
  assert.notDeepEqual(new Workload({ ...options, seed: 8 }).request(211), requests[211]);
  for (const { promptIds, maxTokens } of requests) {
    assert.ok(promptIds.length >= 4 && promptIds.length <= 64);
    assert.ok(promptIds.every((id) => id >= 100 && id <= 199));
    assert.equal(maxTokens, 16);
  }
  const short = requests.filter(({ promptIds }) => promptIds.length < 16).length;
  assert.ok(Math.abs(short / 300 - 0.5) < 0.1, `${short} of 300 in the lower half of the octaves`);
});

test('fields are those of the request', () => {
  const workload = new Workload({ ...options, fields: (index) => ({ exit_depths: [index] }) });
  assert.deepEqual(workload.request(3).fields, { exit_depths: [3] });
});

test('arrivals are Poisson: as many as the rate says, as spread as their mean, the same for the same seed', () => {
  const times = arrivals(100, 60_000, 5);
  assert.deepEqual(arrivals(100, 60_000, 5), times);
  assert.ok(Math.abs(times.length - 6000) < 4 * Math.sqrt(6000), `${times.length} arrivals for 6000`);
  const gaps = times.slice(1).map((at, index) => at - times[index]!);
  const mean = gaps.reduce((sum, gap) => sum + gap, 0) / gaps.length;
  const variance = gaps.reduce((sum, gap) => sum + (gap - mean) ** 2, 0) / gaps.length;
  assert.ok(Math.abs(Math.sqrt(variance) / mean - 1) < 0.1);
  assert.ok(times.every((at) => at >= 0 && at < 60_000));
});

test('neighbouring seeds give unrelated numbers', () => {
  const firsts = Array.from({ length: 1000 }, (_, seed) => new RandomStream(seed).next());
  const mean = firsts.reduce((sum, value) => sum + value, 0) / firsts.length;
  assert.ok(Math.abs(mean - 0.5) < 0.05, `mean ${mean}`);
  assert.equal(new Set(firsts).size, 1000);
});

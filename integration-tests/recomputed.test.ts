import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LIMITS } from '@rondo/core';
import { Scrape } from '@rondo/lab';
import { Cluster } from './cluster.ts';
import { assertSame, busiest, promptOf, recoveries, stream } from './disturbed-streams.ts';
import { TinyBundle } from './tiny-bundle.ts';

/** So many that an answer takes longer than a worker to be killed. */
const LOOPS = 24;
/** Half of the context each: what is cached of the prompt is more than what an answer can make to be run again. */
const ROWS = 250;
const CACHED = Math.floor((ROWS - 1) / LIMITS.pagePositions) * LIMITS.pagePositions;

test('what the new home has of a prompt is neither computed again nor counted', {
  timeout: 120_000,
}, async () => {
  await using bundle = await TinyBundle.make(LOOPS);
  await using cluster = await Cluster.start({ bundle: bundle.directory, workers: 2, placement: 'homed' });
  const { url } = cluster;
  const request = { prompt: promptOf(ROWS, 1), max_tokens: ROWS, temperature: 0, logprobs: 0 };
  // Two at once go to both workers: each has the prompt in its cache from then on.
  const [undisturbed] = await stream(url, () => {}, [request, request]);
  const kill = async () => {
    (await busiest(url, cluster.workers, ({ ready }) => ready)).kill('SIGKILL');
  };
  assertSame(await stream(url, kill, [request]), [undisturbed!]);
  assert.equal(await recoveries(url), 1);
  const again = (await Scrape.of(url)).sum('rondo_recomputed_tokens_total');
  // Twenty tokens were out by then, and the last one's row had not run.
  assert.ok(again >= ROWS - CACHED + 19, `${again} rows: some that were lost did not run again`);
  assert.ok(again < ROWS + 19, `${again} rows: the prompt ran again`);
});

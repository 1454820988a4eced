import assert from 'node:assert/strict';
import { test } from 'node:test';
import { machineCpuMs, ownCpuMs, processCpuMs, residentMiB } from './process-cpu.ts';
import { histogramQuantile } from './quantile.ts';
import { Scrape } from './scrape.ts';

test('series of one name add up, whatever their labels, and longer names stay out', () => {
  const page = [
    '# HELP rows_total a{b} 7',
    'rows_total{worker="a b",phase="head"} 3',
    'rows_total{worker="c"} 4.5',
    'rows_total_more 100',
    'plain 1e-3',
    '',
  ].join('\n');
  const scrape = Scrape.parse(page);
  assert.equal(scrape.sum('rows_total'), 7.5);
  assert.equal(scrape.sum('rows_total', 'phase="head"'), 3);
  assert.equal(scrape.sum('plain'), 0.001);
  assert.equal(scrape.sum('absent'), 0);
});

test('the median of a histogram lies within its bucket, over all of its series', () => {
  const page = (worker: string, counts: readonly number[]) =>
    Scrape.parse(
      ['1', '2', '+Inf']
        .map((le, index) => `hop_bucket{le="${le}",worker="${worker}"} ${counts[index]}`)
        .join('\n'),
    ).buckets('hop');
  assert.equal(histogramQuantile([page('a', [1, 3, 3]), page('b', [0, 1, 1])], 0.5), 1 + 1 / 3);
  assert.equal(histogramQuantile([page('a', [4, 4, 4])], 0.5), 0.5);
  assert.equal(histogramQuantile([page('a', [0, 0, 3])], 0.5), 2, 'above the last bound');
  assert.equal(histogramQuantile([page('a', [0, 0, 0])], 0.5), Number.NaN);
});

const linux = process.platform === 'linux';
test('a process reads its own processor time and memory alike in both ways', {
  skip: !linux && 'only Linux has /proc/<pid>/stat',
}, async () => {
  const before = ownCpuMs();
  const found = await processCpuMs(process.pid);
  // Both count the same clock; the file counts in steps of 10 ms.
  assert.ok(found >= before - 30 && found <= ownCpuMs() + 30, `${found} against ${before}`);
  assert.ok((await machineCpuMs()) >= found);
  const memory = await residentMiB(process.pid);
  assert.ok(Math.abs(memory - process.memoryUsage.rss() / 2 ** 20) < 20, `${memory} MiB`);
});

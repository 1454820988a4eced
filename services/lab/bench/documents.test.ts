import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { replaceSection, writeDocuments } from './documents.ts';
import { thisMachine } from './machine.ts';
import type { BenchReport } from './report.ts';
import { atLeast, atMost } from './suite.ts';

const PAGE =
  '# Benchmarks\n\n<!-- bench:a -->\nold\n<!-- /bench:a -->\n\nprose\n<!-- bench:b -->\n<!-- /bench:b -->\n';

const report = async (): Promise<BenchReport> => ({
  suite: 'b',
  machine: thisMachine(),
  commit: '0123456789ab',
  date: '2026-01-02T03:04:05.000Z',
  seed: 1,
  command: 'rondo bench b',
  quick: false,
  rows: [
    { engine: 'ours', speed: 120.4 },
    { engine: 'theirs | other', speed: 40 },
  ],
  goals: [atLeast('speed', 4, 3.01, '×'), atMost('memory', 10, 7)],
  plots: [
    {
      name: 'speed',
      title: 'Speed by engine',
      spec: {
        mark: 'bar',
        encoding: { x: { field: 'engine', type: 'nominal' }, y: { field: 'speed', type: 'quantitative' } },
      },
    },
  ],
  notes: ['Measured twice.'],
});

test("a report replaces its suite's section and no other text", async () => {
  const docs = await mkdtemp(join(tmpdir(), 'rondo-documents-'));
  try {
    await writeFile(join(docs, 'BENCHMARKS.md'), PAGE);
    await writeDocuments(await report(), docs);
    const page = await readFile(join(docs, 'BENCHMARKS.md'), 'utf8');
    const [before, section] = page.split('<!-- bench:b -->\n');
    assert.equal(`${before}<!-- bench:b -->\n<!-- /bench:b -->\n`, PAGE);
    assert.match(section!, /commit 0123456789ab, 2026-01-02/);
    assert.match(section!, /\| speed \| ≥ 4× \| 3\.01 \| NOT MET \|/);
    assert.match(section!, /\| memory \| ≤ 10 \| 7 \| met \|/);
    assert.match(section!, /\| theirs \\\| other \| 40 \|/);
    assert.match(section!, /!\[Speed by engine\]\(benchmarks\/b-speed\.svg\)/);
    const svg = await readFile(join(docs, 'benchmarks', 'b-speed.svg'), 'utf8');
    assert.match(svg, /^<svg .*Speed by engine/s);
    await writeDocuments(await report(), docs);
    assert.equal(await readFile(join(docs, 'BENCHMARKS.md'), 'utf8'), page);
  } finally {
    await rm(docs, { recursive: true });
  }
});

test('a page without markers for the suite is refused by name', () => {
  assert.throws(() => replaceSection(PAGE, 'c', '', 'docs/BENCHMARKS.md'), {
    code: 'CONFIG_INVALID',
    message: /docs\/BENCHMARKS\.md: expected the lines <!-- bench:c -->/,
  });
});

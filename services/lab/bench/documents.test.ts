import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { checkDocuments, replaceSection, writeDocuments } from './documents.ts';
import { thisMachine } from './machine.ts';
import type { BenchReport } from './report.ts';
import { atLeast, atMost } from './suite.ts';
import { SUITES } from './suites.ts';

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

test('whether a page has markers for a suite is known without a report', async () => {
  const docs = await mkdtemp(join(tmpdir(), 'rondo-documents-'));
  try {
    await writeFile(join(docs, 'RESULTS.md'), PAGE);
    await checkDocuments('b', docs, 'RESULTS.md');
    assert.equal(await readFile(join(docs, 'RESULTS.md'), 'utf8'), PAGE);
    await assert.rejects(checkDocuments('c', docs, 'RESULTS.md'), {
      code: 'CONFIG_INVALID',
      message: /RESULTS\.md: expected the lines <!-- bench:c -->/,
    });
  } finally {
    await rm(docs, { recursive: true });
  }
});

test('every suite has its markers on its page', async () => {
  const docs = fileURLToPath(new URL('../../../docs/', import.meta.url));
  for (const { name, page } of SUITES) await checkDocuments(name, docs, page);
});

test('a page without markers for the suite is refused by name', () => {
  assert.throws(() => replaceSection(PAGE, 'c', '', 'docs/BENCHMARKS.md'), {
    code: 'CONFIG_INVALID',
    message: /docs\/BENCHMARKS\.md: expected the lines <!-- bench:c -->/,
  });
});

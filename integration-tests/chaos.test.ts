import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { RondoProcess, runSuite, SUITES } from '@rondo/lab';

const RONDO = new URL('../rondo', import.meta.url).pathname;
/** The faults are few and come fast; the bench makes more of them. */
const FAULTS = { faults: 15, minutes: 1 };

/** What a busy machine may make of the walk is another walk; what must hold holds for each. */
test('a walk of faults loses, repeats and changes no token', { timeout: 170_000 }, async () => {
  const cache = await mkdtemp(join(tmpdir(), 'rondo-chaos-'));
  try {
    const said: string[] = [];
    const { goals, rows } = await runSuite(SUITES.find(({ name }) => name === 'chaos')!, {
      ...{ quick: true, seed: 7, threads: 1, cache, chaos: FAULTS },
      signal: new AbortController().signal,
      progress: (text) => said.push(text),
      launch: (...args) => RondoProcess.start(RONDO, args),
      launchLogged: (log, ...args) => RondoProcess.start(RONDO, args, { log }),
    });
    assert.ok(rows.length > 0, 'no fault came');
    const missed = goals.filter(({ name, met }) => !met && name !== 'faults');
    assert.deepEqual(missed, [], said.join('\n'));
  } finally {
    await rm(cache, { recursive: true, force: true });
  }
});

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdir } from 'node:fs/promises';
import { test } from 'node:test';
import { RondoProcess } from './rondo-process.ts';

const RONDO = new URL('../rondo', import.meta.url).pathname;
const CACHE = new URL('../.cache/', import.meta.url).pathname;
/** Of four layers. */
const CHECKPOINT = new URL('./fixtures/tiny/llama-gqa/checkpoint', import.meta.url).pathname;

const scan = (...options: string[]) => RondoProcess.run('scan', CHECKPOINT, '--tokens', '48', ...options);
const leftovers = async () => (await readdir(CACHE)).filter((name) => name.startsWith('scan-'));

test('every block that fits is measured, plainly and damped, best first behind the checkpoint itself', async () => {
  const { code, stdout, stderr } = await scan('--widths', '2,4', '--loops', '2,3', '--json');
  assert.equal(code, 0, stderr);
  const { base, rows } = JSON.parse(stdout) as {
    base: number;
    rows: { first: number; last: number; loops: number; damping: number; perplexity: number }[];
  };
  assert.ok(base > 1);
  assert.deepEqual(
    rows.map(({ first, last, loops, damping }) => `${first}-${last} ${loops} ${damping}`).sort(),
    [`1-2 2 0.5`, '1-2 2 1', `1-2 3 ${1 / 3}`, '1-2 3 1'],
  );
  const perplexities = rows.map(({ perplexity }) => perplexity);
  assert.deepEqual(
    perplexities,
    perplexities.toSorted((a, b) => a - b),
  );
});

test('what there is nothing to measure by or of is refused by its option', async () => {
  const refused = async (message: RegExp, ...options: string[]) => {
    const { code, stdout, stderr } = await scan(...options);
    assert.deepEqual([code, stdout], [1, '']);
    assert.match(stderr, message);
    assert.doesNotMatch(stderr, /defect/);
  };
  await refused(/^rondo: --text nowhere\.txt: cannot be read/, '--text', 'nowhere.txt');
  await refused(/^rondo: --text \/dev\/null: has fewer than two tokens/, '--text', '/dev/null');
  await refused(/^rondo: --widths 100,3: \S+ has 4 layers, .*: a block has at most 2$/m, '--widths', '100,3');
  await refused(/^rondo: --loops 1,2: expected whole numbers from 2/, '--loops', '1,2');
  await refused(/^rondo: --tokens 1: expected a whole number from 2/, '--tokens', '1');
});

test('Ctrl-C ends a scan with 1 and leaves nothing in the cache', async () => {
  const before = await leftovers();
  const many = ['--widths', '1,2', '--stride', '1', '--loops', '2,3,4,5,6,7,8'];
  const child = spawn(RONDO, ['scan', CHECKPOINT, '--tokens', '48', ...many], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let [stdout, stderr] = ['', ''];
  child.stdout.on('data', (data: Buffer) => {
    stdout += data.toString();
  });
  child.stderr.on('data', (data: Buffer) => {
    if (stderr === '') child.kill('SIGINT');
    stderr += data.toString();
  });
  const [code] = await once(child, 'close');
  assert.deepEqual([code, stdout], [1, ''], stderr);
  assert.match(stderr, /rondo: scan was stopped; nothing was left\n$/);
  assert.deepEqual(await leftovers(), before);
});

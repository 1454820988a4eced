import assert from 'node:assert/strict';
import { PassThrough } from 'node:stream';
import { test } from 'node:test';
import { type Progress, progressBar } from './progress.ts';

function shown(
  isTTY: boolean,
  work: (progress: Progress) => void,
  unit: 'bytes' | 'things' = 'things',
): string {
  const output = Object.assign(new PassThrough(), { isTTY });
  work(progressBar('counting', 200, { output, unit }));
  return output.read()?.toString() ?? '';
}

test('where no terminal is, each tenth is one line', () => {
  const text = shown(false, (progress) => {
    for (let step = 0; step < 200; step++) progress.advance();
    progress.stop();
  });
  const tenths = [0, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100];
  assert.equal(text, tenths.map((tenth) => `counting: ${tenth} % of 200\n`).join(''));
});

test('a new title begins anew, with its own total', () => {
  const text = shown(
    false,
    (progress) => {
      progress.update(1e6, 2e6, 'first');
      progress.update(0, 4e6, 'second');
    },
    'bytes',
  );
  assert.equal(text, 'first: 50 % of 2.0 MB\nsecond: 0 % of 4.0 MB\n');
});

test('a terminal gets a bar with title and amounts, and its cursor back', () => {
  const text = shown(true, (progress) => {
    progress.update(50, 100);
    progress.stop();
  });
  assert.match(text, /counting .* 50 % {2}50 of 100/);
  assert.ok(text.lastIndexOf('\x1b[?25h') > text.lastIndexOf('\x1b[?25l'), 'the cursor stays hidden');
});

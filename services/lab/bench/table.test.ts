import assert from 'node:assert/strict';
import { test } from 'node:test';
import { cellText, terminalTable } from './table.ts';

test('numbers get three digits or so, and whole numbers stay whole', () => {
  assert.deepEqual([1234.56, 23.456, 1.2345, 0.01234, 0.0009, 512, 'q8_0'].map(cellText), [
    ...['1235', '23.5', '1.23', '0.012', '0.001', '512', 'q8_0'],
  ]);
  assert.deepEqual([0.0000249, -1.7e-8, 0].map(cellText), ['2.5e-5', '-1.7e-8', '0']);
});

test('a table aligns texts to the left and numbers to the right, and leaves gaps where a row lacks a column', () => {
  const table = terminalTable([
    { engine: 'ours', sequences: 1, 'tok/s': 101.5 },
    { engine: 'llama.cpp', sequences: 16 },
  ]);
  assert.equal(
    table,
    ['engine     sequences  tok/s', 'ours               1    102', 'llama.cpp         16']
      .join('\n')
      .concat('\n'),
  );
});

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { ERRORS, LIMITS } from '@rondo/core';

/** The cells of each table row of docs/`name` that begins with a `code` cell; the code without its backticks. */
const tableRows = (name: string): string[][] =>
  readFileSync(new URL(`../docs/${name}`, import.meta.url), 'utf8')
    .split('\n')
    .filter((line) => line.startsWith('| `'))
    .map((line) =>
      line
        .split('|')
        .slice(1, -1)
        .map((cell) => cell.trim().replaceAll('`', '')),
    );

test('docs/LIMITS.md lists every limit with its value and its reason', () => {
  const rows = tableRows('LIMITS.md');
  assert.deepEqual(
    rows.map(([name, value]) => [name, value]),
    Object.entries(LIMITS).map(([name, value]) => [name, String(value)]),
  );
  for (const [name, , reason] of rows) assert.ok(reason, `${name} has no reason`);
});

test('docs/ERRORS.md lists every error with its statuses, type and meaning', () => {
  const rows = tableRows('ERRORS.md');
  assert.deepEqual(
    rows.map((row) => row.slice(0, 5)),
    Object.entries(ERRORS).map(([code, { http, grpc, type, retryable }]) => {
      return [code, String(http), String(grpc), type, retryable ? 'yes' : 'no'];
    }),
  );
  for (const row of rows) assert.ok(row[5], `${row[0]} has no meaning`);
});

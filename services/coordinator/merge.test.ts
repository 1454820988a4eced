import assert from 'node:assert/strict';
import { test } from 'node:test';
import { merge } from './merge.ts';

async function* counting(name: string, count: number, ended: string[]): AsyncGenerator<string> {
  try {
    for (let index = 0; index < count; index++) yield `${name}${index}`;
  } finally {
    ended.push(name);
  }
}

test('every value of every source comes once, each source in its own order', async () => {
  const seen = await Array.fromAsync(
    merge([counting('a', 3, []), counting('b', 2, [])], new AbortController()),
  );
  assert.deepEqual(
    seen.filter((value) => value.startsWith('a')),
    ['a0', 'a1', 'a2'],
  );
  assert.deepEqual(
    seen.filter((value) => value.startsWith('b')),
    ['b0', 'b1'],
  );
});

test('leaving the merge raises the abort and ends every source', async () => {
  const ended: string[] = [];
  const abort = new AbortController();
  for await (const value of merge([counting('a', 1000, ended), counting('b', 1000, ended)], abort)) {
    if (value === 'b3') break;
  }
  assert.ok(abort.signal.aborted);
  assert.deepEqual(ended.toSorted(), ['a', 'b']);
});

test('a source that waits for the abort ends when another fails, and the failure comes through', async () => {
  const abort = new AbortController();
  let ended = false;
  async function* waiting(): AsyncGenerator<string> {
    yield 'first';
    await new Promise((resolve) => abort.signal.addEventListener('abort', resolve));
    ended = true;
  }
  async function* failing(): AsyncGenerator<string> {
    yield 'last';
    throw new Error('broken');
  }
  await assert.rejects(Array.fromAsync(merge([waiting(), failing()], abort)), /broken/);
  assert.ok(ended);
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LIMITS } from '@rondo/core';
import fc from 'fast-check';
import { checkInput, rawLines } from './batch-lines.ts';

const line = (customId: string) =>
  JSON.stringify({ custom_id: customId, method: 'POST', url: '/v1/completions', body: {} });

async function* pieces(text: string, size: number): AsyncGenerator<Uint8Array> {
  const bytes = Buffer.from(text);
  for (let start = 0; start < bytes.length; start += size) yield bytes.subarray(start, start + size);
}

const check = (text: string) => checkInput(pieces(text, 1000), '/v1/completions');

test('lines come out the same however the file is cut into pieces', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.string({ unit: 'grapheme' })),
      fc.integer({ min: 1, max: 20 }),
      async (texts, size) => {
        const text = texts.join('\n');
        const expected = text
          .split('\n')
          .map((content, index) => [index + 1, content] as const)
          .filter(([, content]) => !/^[ \t\r]*$/.test(content));
        const found = [];
        for await (const { number, bytes } of rawLines(pieces(text, size))) {
          found.push([number, Buffer.from(bytes!).toString()]);
        }
        assert.deepEqual(found, expected);
      },
    ),
  );
});

test('a line that is too long is told by its number, and the next one is read', async () => {
  const long = 'x'.repeat(LIMITS.batchLineBytes + 1);
  const { total, errors } = await check(`${line('a')}\n${long}\n${line('b')}\n`);
  assert.equal(total, 3);
  assert.deepEqual(
    errors.map(({ code, line }) => [code, line]),
    [['line_too_long', 2]],
  );
});

test('bytes that are no UTF-8 are no valid line', async () => {
  const bad = Buffer.concat([Buffer.from('{"custom_id": "'), Buffer.from([0xff]), Buffer.from('"}')]);
  const { errors } = await checkInput(
    (async function* () {
      yield bad;
    })(),
    '/v1/completions',
  );
  assert.deepEqual(
    errors.map(({ code, line }) => [code, line]),
    [['invalid_json_line', 1]],
  );
});

test('an input without a line, and one with too many, fail as a whole', async () => {
  assert.deepEqual(
    (await check(' \n\n')).errors.map(({ code, line }) => [code, line]),
    [['empty_file', null]],
  );
  const all = Array.from({ length: LIMITS.batchLinesMax }, (_, index) => line(`${index}`)).join('\n');
  assert.deepEqual((await check(all)).errors, []);
  assert.deepEqual(
    (await check(`${all}\n${line('more')}`)).errors.map(({ code }) => code),
    ['too_many_requests'],
  );
});

test('at most so many faults are listed', async () => {
  const { errors } = await check('nonsense\n'.repeat(LIMITS.batchErrorsMax * 2));
  assert.equal(errors.length, LIMITS.batchErrorsMax);
});

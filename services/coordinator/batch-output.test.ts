import assert from 'node:assert/strict';
import { test } from 'node:test';
import { outputLine } from './batch-output.ts';

const result = { customId: 'mine', requestId: 'r-1', statusCode: 200, body: { object: 'text_completion' } };

test("an answered line has OpenAI's shape, and the same bytes whoever writes it", () => {
  const { file, text } = outputLine('batch_7', 2, 'mine', result, 'completed');
  assert.equal(file, 'output');
  assert.equal(text.indexOf('\n'), text.length - 1);
  assert.deepEqual(JSON.parse(text), {
    id: 'batch_req_7_2',
    custom_id: 'mine',
    response: { status_code: 200, request_id: 'r-1', body: { object: 'text_completion' } },
    error: null,
  });
  assert.equal(outputLine('batch_7', 2, 'mine', result, 'completed').text, text);
});

test('a line that failed is in the error file with its status and body', () => {
  const { file, text } = outputLine('batch_7', 0, 'mine', { ...result, statusCode: 400 }, 'completed');
  assert.equal(file, 'error');
  assert.equal(JSON.parse(text).response.status_code, 400);
});

test('a line without an answer says why', () => {
  for (const ending of ['expired', 'cancelled'] as const) {
    const { file, text } = outputLine('batch_7', 0, 'mine', undefined, ending);
    assert.equal(file, 'error');
    assert.equal(JSON.parse(text).response, null);
    assert.equal(JSON.parse(text).error.code, `batch_${ending}`);
  }
});

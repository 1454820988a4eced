import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import { test } from 'node:test';
import { readUpload } from './file-upload.ts';

const part = (disposition: string, content: string) =>
  `--b\r\ncontent-disposition: form-data; ${disposition}\r\n\r\n${content}\r\n`;
const FILE = part('name="file"; filename="in.jsonl"', 'one\ntwo');
const PURPOSE = part('name="purpose"', 'batch');
const headers = { 'content-type': 'multipart/form-data; boundary=b' };

const read = (text: string) => readUpload(headers, Readable.from([Buffer.from(text)]));

async function textOf(content: AsyncIterable<Uint8Array>): Promise<string> {
  const pieces: Uint8Array[] = [];
  for await (const piece of content) pieces.push(piece);
  return Buffer.concat(pieces).toString();
}

test('the purpose may come before or after the file', async () => {
  for (const form of [FILE + PURPOSE, PURPOSE + FILE]) {
    const upload = await read(`${form}--b--\r\n`);
    assert.equal(upload.filename, 'in.jsonl');
    assert.equal(await textOf(upload.content), 'one\ntwo');
    assert.deepEqual(await upload.settle(), { purpose: 'batch' });
  }
});

test('a form without a file, a purpose or a boundary is refused, naming what is missing', async () => {
  await assert.rejects(read(`${PURPOSE}--b--\r\n`), /file: is required/);
  const upload = await read(`${FILE}--b--\r\n`);
  await textOf(upload.content);
  await assert.rejects(upload.settle(), /purpose: is required/);
  await assert.rejects(
    readUpload({ 'content-type': 'multipart/form-data' }, Readable.from([])),
    /the multipart form: .*boundary/i,
  );
});

test('a form that breaks off in the middle of the file fails whoever reads it', async () => {
  const upload = await read(FILE.slice(0, -5));
  await assert.rejects(textOf(upload.content).then(upload.settle), /the multipart form/);
});

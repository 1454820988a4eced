import assert from 'node:assert/strict';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { batchCommand } from './batch.ts';

const OVER = {
  ...{ id: 'batch_1', status: 'completed', output_file_id: 'file_1', error_file_id: null },
  request_counts: { total: 1, completed: 1, failed: 0 },
};

let directory: string;
let server: Server;
let asked: string[];
let content: RequestListener;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'rondo-batch-'));
  asked = [];
  server = createServer((request, response) => {
    asked.push(request.url!);
    if (request.url === '/v1/batches/batch_1') response.end(JSON.stringify(OVER));
    else content(request, response);
  });
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
});
afterEach(async () => {
  server.close();
  server.closeAllConnections();
  await rm(directory, { recursive: true });
});

const batch = (...args: string[]) => {
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return batchCommand().parseAsync([...args, '--url', url], { from: 'user' });
};

test('answers replace older ones when they are whole: a connection that breaks leaves those, and says what to do', async () => {
  const out = join(directory, 'answers.jsonl');
  await writeFile(out, 'older');
  content = (_request, response) => {
    response.writeHead(200, { 'content-length': '1000' });
    response.write('part', () => response.destroy());
  };
  await assert.rejects(batch('results', 'batch_1', '--out', out), {
    code: 'NO_WORKER',
    retryable: true,
    message: /broke off in the middle of an answer: .*\nbatch_1 is kept: rondo batch results batch_1 fetches/,
  });
  assert.deepEqual(await readdir(directory), ['answers.jsonl']);
  assert.equal(await readFile(out, 'utf8'), 'older');

  content = (_request, response) => response.end('whole');
  await batch('results', 'batch_1', '--out', out);
  assert.deepEqual(await readdir(directory), ['answers.jsonl']);
  assert.equal(await readFile(out, 'utf8'), 'whole');
});

test('a place for answers that cannot be written is told before anything is sent', async () => {
  const lines = join(directory, 'lines.jsonl');
  const line = {
    custom_id: '1',
    method: 'POST',
    url: '/v1/completions',
    body: { model: 'm', prompt: 'The' },
  };
  await writeFile(lines, JSON.stringify(line));
  for (const option of ['--out', '--errors']) {
    const place = join(directory, 'nowhere', 'answers.jsonl');
    await assert.rejects(batch('submit', lines, '--endpoint', '/v1/completions', option, place), {
      code: 'CONFIG_INVALID',
      message: /answers\.jsonl: cannot be written/,
    });
  }
  assert.deepEqual(asked, []);
});

import assert from 'node:assert/strict';
import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, test } from 'node:test';
import { ApiClient } from './api-client.ts';
import { followBatch } from './batch-follow.ts';

let server: Server;
let answer: RequestListener;
let client: ApiClient;
beforeEach(async () => {
  server = createServer((request, response) => answer(request, response));
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  client = new ApiClient(`http://127.0.0.1:${(server.address() as AddressInfo).port}`, undefined);
});
afterEach(() => {
  server.close();
  server.closeAllConnections();
});

test("a server's own code counts, and of what others say whether another try can help", async () => {
  const own = (code: string | null) => JSON.stringify({ error: { message: 'no', code } });
  const page = '<html>Bad Gateway</html>';
  const answers: [number, string, string][] = [
    [400, own(null), 'INVALID_REQUEST'],
    [429, own('kv_exhausted'), 'KV_EXHAUSTED'],
    [503, own('nats_unavailable'), 'NATS_UNAVAILABLE'],
    [429, page, 'OVERLOADED'],
    [502, page, 'NO_WORKER'],
    [503, page, 'NO_WORKER'],
    [504, '{"error": "upstream"}', 'NO_WORKER'],
    [503, own('of_a_later_version'), 'NO_WORKER'],
    [500, page, 'INTERNAL'],
    [403, 'null', 'INTERNAL'],
  ];
  for (const [status, body, code] of answers) {
    answer = (_request, response) => response.writeHead(status).end(body);
    await assert.rejects(client.get('/v1/batches'), { code, message: new RegExp(`answers ${status}: `) });
  }
});

test('a batch is followed past a proxy that answers for a coordinator that is away', async () => {
  const over = { id: 'batch_1', status: 'completed', request_counts: { total: 1, completed: 1, failed: 0 } };
  const answers = [
    [503, '<html>'],
    [200, JSON.stringify(over)],
  ] as const;
  let asked = 0;
  answer = (_request, response) => {
    const [status, body] = answers[asked++]!;
    response.writeHead(status).end(body);
  };
  assert.equal((await followBatch(client, 'batch_1')).status, 'completed');
  assert.equal(asked, 2);
});

test('an answer that breaks off may be asked for again', async () => {
  answer = (_request, response) => {
    response.writeHead(200, { 'content-length': '1000' });
    response.write('{"id": ', () => response.destroy());
  };
  const broken = { code: 'NO_WORKER', message: /broke off in the middle of an answer: / };
  await assert.rejects(client.get('/v1/batches'), broken);
  await assert.rejects(Array.fromAsync(await client.download('/v1/files')), broken);
});

import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { ServerResponse } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { test } from 'node:test';
import { LIMITS, RondoError } from '@rondo/core';
import { fastify } from 'fastify';
import { addBatchRoutes } from './batch-routes.ts';
import type { BatchService } from './batch-service.ts';

test('a client that sends all of a file before it reads is told why nobody takes it', async (context) => {
  const away = new RondoError('NATS_UNAVAILABLE', 'away');
  const store = async () => Promise.reject(away);
  const http = fastify({ forceCloseConnections: true });
  context.after(() => http.close());
  http.setErrorHandler((error: Error, _request, reply) => reply.code(503).send(error.message));
  addBatchRoutes(http, { files: { store } } as unknown as BatchService);
  await http.listen({ host: '127.0.0.1', port: 0 });
  const socket = connect((http.server.address() as AddressInfo).port, '127.0.0.1');
  const head = '--x\r\ncontent-disposition: form-data; name="file"; filename="lines.jsonl"\r\n\r\n';
  const file = Buffer.alloc(32 << 20, 'x');
  const length = head.length + file.length;
  socket.write(
    `POST /v1/files HTTP/1.1\r\nhost: x\r\ncontent-type: multipart/form-data; boundary=x\r\ncontent-length: ${length}\r\n\r\n${head}`,
  );
  await new Promise<void>((resolve, reject) =>
    socket.write(file, (error) => (error ? reject(error) : resolve())),
  );
  const [answer] = (await once(socket, 'data')) as [Buffer];
  assert.match(answer.toString(), /^HTTP\/1\.1 503 /);
  socket.destroy();
});

test('a client that stops reading a file is cut off, and the file is let go', async (context) => {
  context.mock.timers.enable({ apis: ['setTimeout'] });
  const http = fastify({ forceCloseConnections: true });
  context.after(() => http.close());
  // More than any socket takes on its way.
  const piece = Buffer.alloc(64 << 20);
  const held = Promise.withResolvers<void>();
  async function* pieces() {
    try {
      for (;;) yield piece;
    } finally {
      held.resolve();
    }
  }
  const file = { bytes: 2 * piece.length };
  addBatchRoutes(http, {
    files: { content: async () => ({ file, content: pieces() }) },
  } as unknown as BatchService);
  const answering = Promise.withResolvers<ServerResponse>();
  http.addHook('onRequest', async (_request, reply) => answering.resolve(reply.raw));
  await http.listen({ host: '127.0.0.1', port: 0 });
  const socket = connect((http.server.address() as AddressInfo).port, '127.0.0.1').pause();
  context.after(() => socket.destroy());
  socket.write('GET /v1/files/file-1/content HTTP/1.1\r\nhost: x\r\n\r\n');
  const raw = await answering.promise;
  while (!raw.writableNeedDrain) await new Promise(setImmediate);
  context.mock.timers.tick(LIMITS.httpFileReadMs - 1);
  assert.equal(raw.destroyed, false);
  context.mock.timers.tick(1);
  assert.equal(raw.destroyed, true);
  await held.promise;
});

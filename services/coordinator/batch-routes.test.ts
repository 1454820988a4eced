import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, connect } from 'node:net';
import { test } from 'node:test';
import { RondoError } from '@rondo/core';
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

import { Readable } from 'node:stream';
import { LIMITS, RondoError } from '@rondo/core';
import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import { batchObject } from './batch-record.ts';
import type { BatchService } from './batch-service.ts';
import { drained } from './drained.ts';
import { readUpload } from './file-upload.ts';
import { fileObject } from './files.ts';
import { listPage, pageFields, parseQuery } from './list-page.ts';

const fileQuery = z.object({ ...pageFields(10_000, 10_000), purpose: z.string().optional() });
const batchQuery = z.object(pageFields(20, 100));

type ById = { Params: { id: string } };

/** OpenAI's Files and Batches API, to each key its own. Without a service every route says what it needs. */
export function addBatchRoutes(http: FastifyInstance, service: BatchService | undefined): void {
  const needed = (): BatchService => {
    if (service !== undefined) return service;
    throw new RondoError(
      'NATS_REQUIRED',
      'files and batches are kept in NATS, and this server was started without: rondo coordinator --nats nats://host:4222',
    );
  };

  // Left to the route to read: a file is never wholly in memory.
  http.addContentTypeParser('multipart/form-data', (_request, payload, done) => done(null, payload));

  http.post('/v1/files', { bodyLimit: LIMITS.fileBytes }, async (request) => {
    const { files } = needed();
    if (!(request.body instanceof Readable)) {
      throw new RondoError(
        'INVALID_REQUEST',
        'the request body: send it with content-type: multipart/form-data',
      );
    }
    try {
      return fileObject(await files.store(await readUpload(request.headers, request.body), request.owner));
    } catch (thrown) {
      // What is still to come is read and dropped: a client that sends all of it first would otherwise never come to read why.
      request.raw.unpipe();
      request.raw.resume();
      throw thrown;
    }
  });
  http.get('/v1/files', async (request) => {
    const { files } = needed();
    const { purpose, ...demand } = parseQuery(fileQuery, request.query);
    const all = await files.list(request.owner);
    const page = listPage(
      all.filter((file) => purpose === undefined || file.purpose === purpose),
      demand,
    );
    return { ...page, data: page.data.map(fileObject) };
  });
  http.get<ById>('/v1/files/:id', async ({ params, owner }) =>
    fileObject(await needed().files.get(params.id, owner)),
  );
  http.get<ById>('/v1/files/:id/content', async ({ params, owner }, reply) => {
    const { file, content } = await needed().files.content(params.id, owner);
    reply.header('content-type', 'application/octet-stream').header('content-length', file.bytes);
    const stream = Readable.from(content);
    // It pauses while the client has not read what was written, and once more at its end.
    stream.on('pause', () => {
      if (reply.raw.writableNeedDrain) void drained(reply.raw, LIMITS.httpFileReadMs);
    });
    return reply.send(stream);
  });
  http.delete<ById>('/v1/files/:id', async ({ params: { id }, owner }) => {
    await needed().files.delete(id, owner);
    return { id, object: 'file', deleted: true };
  });

  http.post('/v1/batches', async ({ body, owner, headers }) =>
    batchObject(await needed().batches.create(body, owner, headers.traceparent)),
  );
  http.get('/v1/batches', async (request) => {
    const { batches } = needed();
    const page = listPage(await batches.list(request.owner), parseQuery(batchQuery, request.query));
    return { ...page, data: page.data.map(batchObject) };
  });
  http.get<ById>('/v1/batches/:id', async ({ params, owner }) =>
    batchObject(await needed().batches.get(params.id, owner)),
  );
  http.post<ById>('/v1/batches/:id/cancel', async ({ params, owner }) =>
    batchObject(await needed().batches.cancel(params.id, owner)),
  );
}

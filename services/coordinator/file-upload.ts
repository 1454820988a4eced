import type { IncomingHttpHeaders } from 'node:http';
import type { Readable } from 'node:stream';
import { Busboy, type BusboyHeaders, type BusboyInstance } from '@fastify/busboy';
import { RondoError } from '@rondo/core';
import type { FilePurpose, Upload } from './files.ts';
import { invalid } from './openai-error.ts';

/** Fields beside the file, and bytes of each. */
const FIELDS = { fields: 16, fieldNameSize: 64, fieldSize: 1024, files: 1, headerPairs: 32 };

/**
 * Reads a multipart upload as a stream, at the pace the file is stored: clients may send `purpose` before or after the file.
 * @throws RondoError INVALID_REQUEST when the form is malformed or ends without a file
 */
export async function readUpload(headers: IncomingHttpHeaders, body: Readable): Promise<Upload> {
  const fields = new Map<string, string>();
  const started = Promise.withResolvers<{ filename: string; content: Readable }>();
  const over = Promise.withResolvers<void>();
  // Whoever waits hears of it; nobody may be waiting any more.
  over.promise.catch(() => undefined);
  started.promise.catch(() => undefined);
  const fail = (cause: Error) => {
    const error = new RondoError('INVALID_REQUEST', `the multipart form: ${cause.message}`, { cause });
    started.reject(error);
    over.reject(error);
    return error;
  };
  let form: BusboyInstance;
  try {
    form = new Busboy({ headers: headers as BusboyHeaders, limits: FIELDS });
  } catch (cause) {
    throw fail(cause as Error);
  }
  let content: Readable | undefined;
  form.on('field', (name, value) => fields.set(name, value));
  form.on('file', (name, stream, filename) => {
    // Also with nobody reading: an error that nobody hears ends the process.
    stream.on('error', fail);
    if (name !== 'file') {
      stream.resume();
      return;
    }
    content = stream;
    started.resolve({ filename: filename || 'upload.jsonl', content: stream });
  });
  const broken = (cause: Error) => content?.destroy(fail(cause));
  form.on('error', (cause) => {
    fail(cause as Error);
    broken(cause as Error);
  });
  form.on('finish', () => {
    started.reject(invalid('file', 'is required: a form field with the content of a file'));
    over.resolve();
  });
  body.on('error', (cause) => form.destroy(cause));
  body.on('close', () => {
    if (!body.readableEnded) form.destroy(new Error('it broke off'));
  });
  body.pipe(form);
  const { filename, content: stream } = await started.promise;
  return {
    filename,
    content: readable(stream, fail),
    async settle() {
      await over.promise;
      return { purpose: purposeOf(fields) };
    },
  };
}

/** `stream`, whose end in the middle is the client's fault. */
async function* readable(
  stream: Readable,
  fail: (cause: Error) => RondoError,
): AsyncGenerator<Uint8Array, void, undefined> {
  try {
    yield* stream;
  } catch (cause) {
    throw cause instanceof RondoError ? cause : fail(cause as Error);
  }
}

function purposeOf(fields: ReadonlyMap<string, string>): FilePurpose {
  const purpose = fields.get('purpose');
  if (purpose === undefined) throw invalid('purpose', "is required: 'batch'");
  if (purpose !== 'batch') throw invalid('purpose', `expected 'batch', got '${purpose}'`);
  for (const name of fields.keys()) {
    if (name.startsWith('expires_after'))
      throw invalid('expires_after', 'files are kept until they are deleted');
  }
  return purpose;
}

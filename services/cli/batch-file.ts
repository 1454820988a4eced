import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { type BatchEndpoint, checkInput } from '@rondo/coordinator';
import { LIMITS, RondoError } from '@rondo/core';

/** Faults that are told; the rest most likely is more of the same. */
const TOLD = 10;

/**
 * Holds a batch's input to the rules of the server before anything is sent. Returns how many lines it has.
 * @throws RondoError CONFIG_INVALID with file and line of what is wrong
 */
export async function checkBatchFile(path: string, endpoint: BatchEndpoint): Promise<number> {
  const unusable = (why: string, cause?: Error) =>
    new RondoError('CONFIG_INVALID', `${path}: ${why}`, { cause });
  const { size } = await stat(path).catch((error: Error) => {
    throw unusable(error.message, error);
  });
  if (size > LIMITS.fileBytes) {
    throw unusable(`${size} bytes, and a file has at most ${LIMITS.fileBytes}; submit it in parts`);
  }
  const { total, errors } = await checkInput(createReadStream(path), endpoint).catch((error: Error) => {
    throw unusable(error.message, error);
  });
  if (errors.length === 0) return total;
  const told = errors
    .slice(0, TOLD)
    .map(({ line, message }) => `${path}${line === null ? '' : `:${line}`}: ${message}`);
  const more = errors.length > TOLD ? [`${path}: ${errors.length - TOLD} more faults or beyond`] : [];
  const wrongEndpoint = errors.some(({ code }) => code === 'invalid_url');
  const remedy = `nothing was sent; mend the file${wrongEndpoint ? ' or give another --endpoint' : ''} and submit it again`;
  throw new RondoError('CONFIG_INVALID', [...told, ...more, remedy].join('\n'));
}

import { readFile } from 'node:fs/promises';
import { RondoError } from '@rondo/core';

/** The file that `option` names. @throws RondoError CONFIG_INVALID naming both when it cannot be read */
export const readText = (option: string, path: string): Promise<string> =>
  readFile(path, 'utf8').catch((cause: Error) => {
    throw new RondoError('CONFIG_INVALID', `${option} ${path}: cannot be read: ${cause.message}`, { cause });
  });

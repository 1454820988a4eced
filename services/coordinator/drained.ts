import type { ServerResponse } from 'node:http';
import { LIMITS } from '@rondo/core';

/** Resolves when the client has read what was written, or left; one that reads nothing for `httpReadMs` is cut off. */
export const drained = (response: ServerResponse): Promise<void> =>
  new Promise((resolve) => {
    const late = setTimeout(() => response.destroy(), LIMITS.httpReadMs);
    const go = () => {
      clearTimeout(late);
      response.off('drain', go).off('close', go);
      resolve();
    };
    response.on('drain', go).on('close', go);
  });

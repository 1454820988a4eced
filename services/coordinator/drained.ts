import type { ServerResponse } from 'node:http';
import { LIMITS } from '@rondo/core';

/**
 * Resolves when the client has read what was written, or left; one that has not after so many milliseconds is cut off. What the system holds
 * of what was written may be more than a megabyte, and says nothing while that is read.
 */
export const drained = (response: ServerResponse, patienceMs: number = LIMITS.httpReadMs): Promise<void> =>
  new Promise((resolve) => {
    const late = setTimeout(() => response.destroy(), patienceMs);
    const go = () => {
      clearTimeout(late);
      response.off('drain', go).off('close', go);
      resolve();
    };
    response.on('drain', go).on('close', go);
  });

import { parentPort } from 'node:worker_threads';
import { RondoError } from '@rondo/core';
import { truncatedSvd } from './low-rank.ts';
import type { LowRankReply, LowRankRequest } from './low-rank-threads.ts';

const port = parentPort;
if (!port) throw new Error('low-rank-thread.ts runs as a worker thread only');

port.on('message', ({ id, matrix, out, columns, wish }: LowRankRequest) => {
  try {
    const result = truncatedSvd(matrix, out, columns, wish);
    const { a, b, singularValues } = result;
    port.postMessage(
      { id, result } satisfies LowRankReply,
      [a, b, singularValues].map(({ buffer }) => buffer as ArrayBuffer),
    );
  } catch (thrown) {
    const { code, message } = RondoError.from(thrown);
    port.postMessage({ id, error: { code, message } } satisfies LowRankReply);
  }
});

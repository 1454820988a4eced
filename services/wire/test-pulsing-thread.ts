import { setTimeout as delay } from 'node:timers/promises';
import { parentPort } from 'node:worker_threads';
import { address, LIMITS } from '@rondo/core';
import { description, progress, work } from './test-samples.ts';
import { serveWorker } from './worker-server.ts';

/** For tests: a worker with an event loop of its own, which says where it listens and pulses as workers do. */
const server = await serveWorker(address('127.0.0.1:0'), {
  describe: () => description,
  async *watch(signal) {
    while (!signal.aborted) {
      yield { state: 'serving', load: description.load, progress, work };
      await delay(LIMITS.pulseMs, undefined, { signal });
    }
  },
  async *generate() {},
  async passes() {},
});
parentPort!.postMessage(server.address);

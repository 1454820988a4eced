import assert from 'node:assert/strict';
import { address, type WorkerRef, workerId } from '@rondo/core';
import { type MicrobatchChunk, serveWorker } from '@rondo/wire';

/** A stage that takes rows and never runs them; it grants what the test says. */
export async function idleStage(grants: number) {
  const seen: MicrobatchChunk[] = [];
  let [rows, wanted] = [0, 0];
  let reached = Promise.withResolvers<void>();
  let grant: (rows: number) => void = () => {};
  const server = await serveWorker(address('127.0.0.1:0'), {
    describe: () => assert.fail('nobody asks'),
    async *watch() {},
    async *generate() {},
    async passes(_hello, frames, reply) {
      grant = (more) => reply({ type: 'credit', rows: more });
      grant(grants);
      for await (const frame of frames) {
        if (frame.type === 'open-stage')
          reply({ type: 'stage-opened', sequenceId: frame.sequenceId, epoch: frame.route.epoch });
        if (frame.type !== 'microbatch') continue;
        seen.push(...frame.chunks);
        rows += frame.chunks.reduce((sum, chunk) => sum + chunk.rows, 0);
        if (rows >= wanted) reached.resolve();
      }
    },
  });
  return {
    ref: { id: workerId('idle'), address: server.address } as WorkerRef,
    seen,
    rows: () => rows,
    grant: (more: number) => grant(more),
    async reaches(count: number) {
      wanted = count;
      reached = Promise.withResolvers();
      if (rows < wanted) await reached.promise;
    },
    close: () => server.close({ graceMs: 0 }),
  };
}

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LIMITS, sequenceId } from '@rondo/core';
import fc from 'fast-check';
import { packFrames } from './peer-link.ts';

test('frames keep the order of chunks and their size, unless one row alone exceeds it', () => {
  const chunks = fc.array(fc.integer({ min: 1, max: 70 }), { minLength: 1, maxLength: 40 });
  fc.assert(
    fc.property(chunks, fc.constantFrom(4, 576, 2048, 40_000), (sizes, hidden) => {
      const rowsMax = Math.max(1, Math.floor(LIMITS.frameBytes / (hidden * 4)));
      const sent = sizes.map((rows, start) => ({
        sequenceId: sequenceId('wren'),
        epoch: 1,
        depth: 1,
        start,
        rows: Math.min(rows, rowsMax),
        state: new Float32Array(0),
      }));
      const chunksSent = sent.map((chunk) => ({
        ...chunk,
        state: { length: chunk.rows * hidden } as Float32Array,
      }));
      const frames = packFrames(chunksSent);
      assert.deepEqual(
        frames.flat().map((chunk) => chunk.start),
        sent.map((chunk) => chunk.start),
      );
      for (const frame of frames) {
        const bytes = frame.reduce((sum, chunk) => sum + chunk.state.length * 4, 0);
        assert.ok(bytes <= LIMITS.frameBytes || (frame.length === 1 && frame[0]!.rows === 1));
      }
    }),
  );
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openBundle } from '@rondo/bundle';
import { createEngine, pickRows } from '@rondo/engine';
import { TinyBundle } from './tiny-bundle.ts';

const ROW_COUNTS = [5, 1, 2];

test('the head behind a stack says of its rows what a call of its own says', async () => {
  await using files = await TinyBundle.make(1);
  const bundle = await openBundle(files.directory);
  const { hidden, vocab } = bundle.manifest.shape;
  for (const attention of ['pages', 'graph'] as const) {
    const engine = await createEngine(bundle, { threads: 1, kvBytes: 2 ** 22, provider: 'cpu', attention });
    const batch = () => ({
      stack: 'block' as const,
      input: Float32Array.from({ length: 8 * hidden }, (_, at) => Math.sin(at)),
      starts: new Int32Array(3),
      rowCounts: Int32Array.from(ROW_COUNTS),
      depths: new Int32Array(3),
      pageTable: Int32Array.of(1, 2, 3),
      copies: [],
    });
    try {
      for (const [rows, wantLogits] of [
        [[4, 5, 7], true],
        [[6, 7], false],
      ] as const) {
        const { state } = await engine.runStack(batch());
        const asked = pickRows(state, rows, hidden).slice();
        const { runMs: _, ...alone } = await engine.runHead({ state: asked, wantLogits });
        const head = { rows, wantLogits };
        const both = await engine.runStack({ ...batch(), head });
        assert.deepEqual(both.state, state);
        const { runMs: __, ...behind } = both.head!;
        assert.deepEqual(behind, alone);
        assert.equal(behind.logits?.length, wantLogits ? rows.length * vocab : undefined);
      }
    } finally {
      await engine.close();
    }
  }
});

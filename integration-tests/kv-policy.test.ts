import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { openBundle } from '@rondo/bundle';
import { convert, openCheckpoint } from '@rondo/converter';
import type { WorkerRef } from '@rondo/core';
import { createEngine } from '@rondo/engine';
import { DictatedEngine } from './dictated-engine.ts';
import { workerAround } from './engine-worker.ts';
import { type KvPolicyCase, kvPolicyCases } from './kv-policy-cases.ts';

/** Relative to the largest logit. */
const TOLERANCE = 1e-4;

let directory: string;
before(async () => {
  directory = await mkdtemp(join(tmpdir(), 'rondo-kv-policy-'));
});
after(() => rm(directory, { recursive: true, force: true }));

for (const item of kvPolicyCases()) {
  // The copies of last-exited are between pages of one worker.
  for (const workers of item.policy === 'last-exited' ? [1] : [1, 2, 3]) {
    test(`${item.name}: rows that exit as recorded under ${item.policy} on ${workers} workers give PyTorch's logits`, async () => {
      const rows = await served(item, workers);
      assert.equal(rows.length, item.logits.length);
      item.logits.forEach((expected, row) => {
        const scale = expected.reduce((largest, logit) => Math.max(largest, Math.abs(logit)), 0);
        const worst = expected.reduce(
          (largest, logit, id) => Math.max(largest, Math.abs(logit - rows[row]![id]!)),
          0,
        );
        assert.ok(worst <= TOLERANCE * scale, `row ${row}: off by ${worst} of ${scale}`);
      });
    });
  }
}

/** The logits of a home that serves the case over gRPC, its tokens dictated, its passes cut over so many workers. */
async function served(item: KvPolicyCase, workers: number): Promise<Float32Array[]> {
  const out = join(directory, `${item.name}-${item.policy}-${workers}`);
  const checkpoint = await openCheckpoint(item.checkpoint);
  await convert({ checkpoint, out, precision: 'f32', kvPolicy: item.policy, ...item.convert });
  await checkpoint.close();
  const bundle = await openBundle(out);
  const start = () => createEngine(bundle, { threads: 1, kvBytes: 2 ** 20, provider: 'cpu' });
  const real = await start();
  await using stages = new AsyncDisposableStack();
  const others: WorkerRef[] = [];
  while (others.length < workers - 1) others.push(stages.use(await workerAround(await start(), bundle)).ref);
  const engine = new DictatedEngine(real, item.ids.slice(item.promptRows));
  await using worker = await workerAround(engine, bundle, others);
  const { maxDepth } = bundle.manifest;
  const passes: number[] = [];
  for await (const event of worker.generate({
    promptIds: item.ids.slice(0, item.promptRows),
    maxTokens: item.logits.length,
    exit: { policy: 'replay', threshold: 0, minDepth: 1, maxDepth, depths: item.exits },
  })) {
    if (event.type === 'token') passes.push(event.passes);
  }
  assert.deepEqual(passes, [maxDepth, ...item.exits]);
  return engine.logits;
}

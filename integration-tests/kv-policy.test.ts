import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { type Bundle, openBundle } from '@rondo/bundle';
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
      assertLogits(await served(item, { workers, emitted: 0 }), item.logits);
    });
  }

  // One token emitted, some, and all but the last.
  const cuts = new Set([1, Math.ceil(item.exits.length / 2), item.exits.length]);
  test(`${item.name}: a sequence that goes on elsewhere under ${item.policy} gives the logits it would have given`, async () => {
    for (const emitted of cuts)
      assertLogits(await served(item, { workers: 1, emitted }), item.logits.slice(emitted));
  });
}

function assertLogits(rows: readonly Float32Array[], expected: readonly Float32Array[]): void {
  assert.equal(rows.length, expected.length);
  expected.forEach((logits, row) => {
    const scale = logits.reduce((largest, logit) => Math.max(largest, Math.abs(logit)), 0);
    const worst = logits.reduce(
      (largest, logit, id) => Math.max(largest, Math.abs(logit - rows[row]![id]!)),
      0,
    );
    assert.ok(worst <= TOLERANCE * scale, `row ${row}: off by ${worst} of ${scale}`);
  });
}

/**
 * The logits of a home that serves the case over gRPC, its tokens dictated, its passes cut over so many workers, after
 * `emitted` tokens that another home has emitted.
 */
async function served(
  item: KvPolicyCase,
  { workers, emitted }: { workers: number; emitted: number },
): Promise<Float32Array[]> {
  const bundle = await bundleOf(item);
  const start = () => createEngine(bundle, { threads: 1, kvBytes: 2 ** 20, provider: 'cpu' });
  const real = await start();
  await using stages = new AsyncDisposableStack();
  const others: WorkerRef[] = [];
  while (others.length < workers - 1) others.push(stages.use(await workerAround(await start(), bundle)).ref);
  const generated = item.ids.slice(item.promptRows);
  const engine = new DictatedEngine(real, generated.slice(emitted));
  await using worker = await workerAround(engine, bundle, others);
  const { maxDepth } = bundle.manifest;
  const spent = [maxDepth, ...item.exits];
  const passes: number[] = [];
  for await (const event of worker.generate({
    promptIds: item.ids.slice(0, item.promptRows),
    emitted: generated.slice(0, emitted).map((id, index) => ({ id, passes: spent[index]! })),
    maxTokens: item.logits.length,
    exit: { policy: 'replay', threshold: 0, minDepth: 1, maxDepth, depths: item.exits },
  })) {
    if (event.type === 'token') {
      assert.equal(event.index, emitted + passes.length);
      passes.push(event.passes);
    }
    // Rows that another has run are not billed again.
    if (event.type === 'finished') {
      const own = spent.slice(Math.max(1, emitted)).reduce((sum, each) => sum + each, 0);
      assert.equal(event.generatedPasses, own);
    }
  }
  assert.deepEqual(passes, spent.slice(emitted));
  return engine.logits;
}

const bundles = new Map<string, Promise<Bundle>>();

function bundleOf(item: KvPolicyCase): Promise<Bundle> {
  const name = `${item.name}-${item.policy}`;
  const made = bundles.get(name) ?? makeBundle(item, join(directory, name));
  bundles.set(name, made);
  return made;
}

async function makeBundle(item: KvPolicyCase, out: string): Promise<Bundle> {
  const checkpoint = await openCheckpoint(item.checkpoint);
  await convert({ checkpoint, out, precision: 'f32', kvPolicy: item.policy, ...item.convert });
  await checkpoint.close();
  return openBundle(out);
}

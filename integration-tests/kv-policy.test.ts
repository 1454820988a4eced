import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { openBundle } from '@rondo/bundle';
import { createLog, Metrics } from '@rondo/chassis';
import { convert, openCheckpoint } from '@rondo/converter';
import { address, type GenerateSpec, sequenceId, workerId } from '@rondo/core';
import { createEngine } from '@rondo/engine';
import { connectWorker } from '@rondo/wire';
import { serveEngine } from '@rondo/worker';
import { DictatedEngine } from './dictated-engine.ts';
import { type KvPolicyCase, kvPolicyCases } from './kv-policy-cases.ts';

/** Relative to the largest logit. */
const TOLERANCE = 1e-4;

let directory: string;
before(async () => {
  directory = await mkdtemp(join(tmpdir(), 'rondo-kv-policy-'));
});
after(() => rm(directory, { recursive: true, force: true }));

for (const item of kvPolicyCases()) {
  test(`${item.name}: rows that exit as recorded under ${item.policy} give PyTorch's logits`, async () => {
    const rows = await served(item);
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

/** The logits of a worker that serves the case over gRPC, its tokens dictated. */
async function served(item: KvPolicyCase): Promise<Float32Array[]> {
  const out = join(directory, `${item.name}-${item.policy}`);
  const checkpoint = await openCheckpoint(item.checkpoint);
  await convert({ checkpoint, out, precision: 'f32', kvPolicy: item.policy, ...item.convert });
  await checkpoint.close();
  const bundle = await openBundle(out);
  const real = await createEngine(bundle, { threads: 1, kvBytes: 2 ** 20, provider: 'cpu' });
  const engine = new DictatedEngine(real, item.ids.slice(item.promptRows));
  const worker = await serveEngine(engine, {
    bundle,
    listen: address('127.0.0.1:0'),
    poisonFreed: true,
    log: createLog('test', { level: 'silent' }),
    metrics: new Metrics(),
  });
  const client = connectWorker(worker.address);
  try {
    const ref = { id: workerId(worker.workerId), address: worker.address };
    const { maxDepth } = bundle.manifest;
    const spec: GenerateSpec = {
      sequenceId: sequenceId('dictated'),
      route: { epoch: 1, home: ref, stages: [{ worker: ref, depths: { first: 0, end: maxDepth } }] },
      bundleDigest: bundle.digest,
      promptIds: item.ids.slice(0, item.promptRows),
      maxTokens: item.logits.length,
      stopIds: [],
      sampling: GREEDY,
      exit: { policy: 'replay', threshold: 0, minDepth: 1, maxDepth, depths: item.exits },
      promptLogprobs: false,
    };
    const passes: number[] = [];
    for await (const event of client.generate(spec, new AbortController().signal)) {
      if (event.type === 'token') passes.push(event.passes);
    }
    assert.deepEqual(passes, [maxDepth, ...item.exits]);
  } finally {
    client.close();
    await worker.stop();
  }
  return engine.logits;
}

const GREEDY: GenerateSpec['sampling'] = {
  temperature: 0,
  topP: 1,
  topK: 0,
  minP: 0,
  seed: 1,
  presencePenalty: 0,
  frequencyPenalty: 0,
  repetitionPenalty: 1,
  logitBias: new Map(),
};

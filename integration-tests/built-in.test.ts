import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { bundleBytes, openBundle } from '@rondo/bundle';
import { Cluster } from './cluster.ts';

const MODELS = new URL('../models/', import.meta.url);
const BUILT_IN = fileURLToPath(new URL('built-in', MODELS));
const MEGABYTE = 1e6;

interface Chat {
  readonly choices: readonly {
    readonly message: { readonly content: string };
    readonly finish_reason: string;
  }[];
  readonly usage: { readonly completion_tokens: number; readonly passes: { readonly generated: number } };
}

test('it is one recursive, relaxed bundle with a gate, of at most 6 MB', async () => {
  const { manifest } = await openBundle(BUILT_IN);
  assert.ok(bundleBytes(manifest) <= 6 * MEGABYTE);
  assert.equal(manifest.precision, 'int8');
  assert.equal(manifest.maxDepth, 3);
  assert.ok(manifest.adapters);
  assert.deepEqual(manifest.exit.signals, ['gate', 'latent-diff']);
});

test('served, it answers held-out questions as they are written down, and leaves the loop early', async () => {
  const lines = (await readFile(new URL('built-in.jsonl', MODELS), 'utf8')).trim().split('\n');
  const asked = lines.slice(0, 24).map((line) => JSON.parse(line) as { question: string; answer: string });
  const { manifest } = await openBundle(BUILT_IN);
  const cluster = await Cluster.start({ bundle: BUILT_IN, workers: 1, placement: 'homed' });
  try {
    let [right, passes, tokens] = [0, 0, 0];
    await Promise.all(
      asked.map(async ({ question, answer }) => {
        const messages = [{ role: 'user', content: question }];
        const response = await cluster.post('/v1/chat/completions', {
          model: 'rondo-small-numbers',
          messages,
          temperature: 0,
        });
        const { choices, usage } = (await response.json()) as Chat;
        if (choices[0]!.message.content === answer && choices[0]!.finish_reason === 'stop') right++;
        passes += usage.passes.generated;
        tokens += usage.completion_tokens;
      }),
    );
    assert.ok(right >= 0.95 * asked.length, `${right} of ${asked.length}`);
    assert.ok(passes / tokens <= manifest.maxDepth / 2, `${passes} passes for ${tokens} tokens`);
  } finally {
    await cluster[Symbol.asyncDispose]();
  }
});

import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { chaosBundle } from './chaos-bundle.ts';
import { chaosRequests } from './chaos-requests.ts';

test('requests follow from the seed, fit the bundle, and are of every kind', async () => {
  const cache = await mkdtemp(join(tmpdir(), 'rondo-chaos-'));
  try {
    const { manifest } = await chaosBundle({ cache, seed: 3 });
    const requests = chaosRequests(manifest, 300, 9);
    assert.deepEqual(chaosRequests(manifest, 300, 9), requests);
    assert.notDeepEqual(chaosRequests(manifest, 300, 10), requests);
    const fields = new Set(requests.flatMap(({ body }) => Object.keys(body)));
    for (const field of [
      'top_p',
      'repetition_penalty',
      'logit_bias',
      'n',
      'stop',
      'max_depth',
      'exit_threshold',
      'messages',
      'logprobs',
    ])
      assert.ok(fields.has(field), `no request has ${field}`);
    const prompts = requests.flatMap(({ body }) =>
      Array.isArray(body.prompt) ? [body.prompt as number[]] : [],
    );
    const room = requests.map(
      ({ body }) => ((body.prompt as number[])?.length ?? 0) + (body.max_tokens as number),
    );
    assert.ok(Math.max(...room) <= manifest.shape.context);
    const beginnings = prompts.map((prompt) => prompt.slice(0, 32).join());
    assert.ok(new Set(beginnings).size < prompts.length * 0.7, 'prompts share no beginnings');
  } finally {
    await rm(cache, { recursive: true });
  }
});

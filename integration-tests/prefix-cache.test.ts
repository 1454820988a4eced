import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Cluster } from './cluster.ts';
import { promptOf } from './disturbed-streams.ts';
import { TinyBundle } from './tiny-bundle.ts';

const LOOPS = 3;
/** Log probabilities with shared pages and without may differ by this much, in nats. */
const TOLERANCE = 1e-4;

interface Completion {
  readonly choices: readonly {
    readonly text: string;
    readonly logprobs: { readonly token_logprobs: number[] };
  }[];
  readonly usage: {
    readonly prompt_tokens_details: { readonly cached_tokens: number };
    readonly passes: { readonly prompt: number };
  };
}

async function complete(cluster: Cluster, prompt: number[]): Promise<Completion> {
  const ask = { model: 'tiny', ignore_eos: true, prompt, max_tokens: 20, temperature: 0, logprobs: 1 };
  const response = await cluster.post('/v1/completions', ask);
  assert.equal(response.status, 200, await response.clone().text());
  return (await response.json()) as Completion;
}

test('prompts that share pages are answered as without the cache, for fewer passes', async () => {
  await using bundle = await TinyBundle.make(LOOPS);
  const options = { bundle: bundle.directory, workers: 1, placement: 'homed' } as const;
  await using cluster = await Cluster.start(options);
  await using without = await Cluster.start({ ...options, workerOptions: ['--no-prefix-cache'] });
  const common = promptOf(90, 1);
  const prompts = [
    common,
    common,
    [...common, ...promptOf(40, 2)],
    [...common.slice(0, 50), ...promptOf(7, 3)],
  ];
  const expectedTokens = [0, 80, 80, 48];
  for (const [index, prompt] of prompts.entries()) {
    const [found, expected] = [await complete(cluster, prompt), await complete(without, prompt)];
    const cached = found.usage.prompt_tokens_details.cached_tokens;
    assert.equal(cached, expectedTokens[index]);
    assert.equal(found.usage.passes.prompt, (prompt.length - cached) * LOOPS);
    assert.equal(expected.usage.prompt_tokens_details.cached_tokens, 0);
    const [a, b] = [found.choices[0]!, expected.choices[0]!];
    assert.equal(a.text, b.text);
    assert.equal(b.logprobs.token_logprobs.length, 20);
    b.logprobs.token_logprobs.forEach((logprob, at) => {
      const other = a.logprobs.token_logprobs[at]!;
      assert.ok(Math.abs(logprob - other) < TOLERANCE, `token ${at}: ${other} against ${logprob}`);
    });
  }
});

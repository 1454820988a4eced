import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { Cluster } from './cluster.ts';
import { readExpected } from './expected.ts';
import { smollm2Bundle, smollm2Checkpoint } from './smollm2.ts';
import { TinyBundle } from './tiny-bundle.ts';

/** Log probabilities may differ from PyTorch's by this much, in nats. */
const TOLERANCE = 1e-4;
/** What `lm_eval --model local-completions` sends beside model and prompt. */
const SCORING = { temperature: 0, max_tokens: 1, logprobs: 1, seed: 1234, echo: true };
const read = (path: string): string => readFileSync(new URL(path, import.meta.url), 'utf8');

interface Choice {
  readonly index: number;
  readonly text: string;
  readonly logprobs: {
    readonly tokens: readonly string[];
    readonly token_logprobs: readonly (number | null)[];
    readonly top_logprobs: readonly (Readonly<Record<string, number>> | null)[];
    readonly text_offset: readonly number[];
  };
}

interface Completion {
  readonly model: string;
  readonly choices: readonly Choice[];
  readonly usage: { readonly prompt_tokens_details: { readonly cached_tokens: number } };
}

/** A prompt with what PyTorch gives each of its ids but the first: its log probability, and the largest there. */
interface Scored {
  readonly ids: readonly number[];
  readonly logprobs: readonly number[];
  readonly best: readonly number[];
}

async function complete(cluster: Cluster, body: unknown): Promise<Completion> {
  const response = await cluster.post('/v1/completions', body);
  assert.equal(response.status, 200, await response.clone().text());
  return (await response.json()) as Completion;
}

const near = (found: number | null | undefined, expected: number, where: string): void =>
  assert.ok(Math.abs(found! - expected) < TOLERANCE, `${where}: ${found} against ${expected}`);

/** `lm_eval` drops the last entry, which is the generated token's, and calls greedy what is the largest of `top_logprobs`. */
function assertScores({ text, logprobs }: Choice, { ids, logprobs: expected, best }: Scored): void {
  const { tokens, token_logprobs: own, top_logprobs: top, text_offset: offsets } = logprobs;
  for (const list of [tokens, own, top, offsets]) assert.equal(list.length, ids.length + 1);
  assert.equal(own[0], null);
  assert.equal(top[0], null);
  expected.forEach((logprob, before) => {
    const at = before + 1;
    const where = `token ${at}`;
    near(own[at], logprob, where);
    near(Math.max(...Object.values(top[at]!)), best[before]!, `${where}, the best`);
    if (logprob < best[before]!)
      assert.ok(own[at]! < Math.max(...Object.values(top[at]!)), `${where} is not greedy`);
    else assert.equal(own[at], Math.max(...Object.values(top[at]!)), `${where} is greedy`);
    assert.ok(offsets[at]! >= offsets[before]!);
  });
  assert.ok(offsets.at(-1)! <= [...text].length);
}

/** Log softmax over each row of PyTorch's logits for the fixture's prompt of `length` tokens. */
function tinyScores(length: number): Scored {
  const expected = readExpected(
    new URL('./fixtures/tiny/llama-gqa/loop-1-2-x3-damped.safetensors', import.meta.url).pathname,
  );
  const ids = [...expected.get(`prompt_${length}`)!];
  const logits = expected.get(`logits_${length}`)!;
  const vocab = logits.length / ids.length;
  const rows = ids.slice(1).map((id, row) => {
    const of = Array.from(logits.subarray(row * vocab, (row + 1) * vocab));
    const largest = Math.max(...of);
    const sum = Math.log(of.reduce((total, logit) => total + Math.exp(logit - largest), 0)) + largest;
    return { own: of[id]! - sum, best: largest - sum };
  });
  return { ids, logprobs: rows.map(({ own }) => own), best: rows.map(({ best }) => best) };
}

for (const placement of ['homed', 'staged'] as const) {
  test(`${placement}: a scored prompt gets PyTorch's log probabilities, also behind a prefix that is cached`, {
    timeout: 120_000,
  }, async () => {
    await using bundle = await TinyBundle.make(3);
    await using cluster = await Cluster.start({ bundle: bundle.directory, workers: 2, placement });
    const scores = [tinyScores(300), tinyScores(17)];
    const prompt = scores.map(({ ids }) => ids);
    // Whoever generates leaves the prompt's pages behind.
    await complete(cluster, { model: 'tiny', prompt: prompt[0], max_tokens: 2 });
    for (const tokens of [0, 1]) {
      const answer = await complete(cluster, { model: 'tiny', prompt, ...SCORING, max_tokens: tokens });
      assert.equal(answer.usage.prompt_tokens_details.cached_tokens, 0);
      assert.equal(answer.choices.length, scores.length);
      answer.choices.forEach((choice, index) => {
        assert.equal(choice.index, index);
        if (tokens === 1) assertScores(choice, scores[index]!);
        else assert.equal(choice.logprobs.token_logprobs.length, scores[index]!.ids.length);
      });
    }
  });
}

const checkpoint = await smollm2Checkpoint();

describe('SmolLM2-135M-Instruct', { skip: 'unavailable' in checkpoint && checkpoint.unavailable }, () => {
  test('what lm_eval sent, as ids and as text, is scored as PyTorch scores it', {
    timeout: 180_000,
  }, async () => {
    const { directory, manifest } = await smollm2Bundle('path' in checkpoint ? checkpoint.path : '');
    const workerOptions = ['--kv-mb', '256'];
    await using cluster = await Cluster.start({
      bundle: directory,
      workers: 1,
      placement: 'homed',
      workerOptions,
    });
    const bodies = read('./lm-eval/requests.jsonl').trim().split('\n');
    const scores = JSON.parse(read('./fixtures/smollm2/lm-eval.json')) as Scored[][];
    assert.equal(bodies.length, scores.length);
    for (const [request, line] of bodies.entries()) {
      const answer = await complete(cluster, JSON.parse(line));
      assert.equal(answer.model, manifest.name);
      assert.equal(answer.choices.length, scores[request]!.length);
      answer.choices.forEach((choice, index) => {
        assertScores(choice, scores[request]![index]!);
      });
    }
  });
});

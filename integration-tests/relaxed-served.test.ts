import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { promisify } from 'node:util';
import { RandomStream } from '@rondo/lab';
import { Cluster } from './cluster.ts';
import { relaxedLogits, relaxedModel, writeRelaxedCheckpoint } from './relaxed-cases.ts';

const RONDO = new URL('../rondo', import.meta.url).pathname;
const CASE = 'x3-0-0-average-rank-4';
const LOOPS = 3;
const OPTIONS = ['--loops', '3', '--init', 'average', '--lora-rank', '4', '--name', 'relaxed'];
/** Ids of the vocabulary. */
const VOCAB = 61;
const REQUESTS = 48;
const SEED = 20_261_127;

let directory: string;
let checkpoint: string;
before(async () => {
  directory = await mkdtemp(join(tmpdir(), 'rondo-relaxed-served-'));
  checkpoint = await writeRelaxedCheckpoint(join(directory, 'checkpoint'), relaxedModel('llama'));
});
after(() => rm(directory, { recursive: true, force: true }));

async function bundleOf(name: string, ...options: string[]): Promise<string> {
  const out = join(directory, name);
  await promisify(execFile)(RONDO, ['convert', checkpoint, '--out', out, ...OPTIONS, ...options]);
  return out;
}

interface Answer {
  readonly token_ids: readonly number[];
  readonly logprobs: { readonly token_logprobs: readonly (number | null)[] };
}

async function complete(cluster: Cluster, request: object): Promise<Answer> {
  const fields = { model: 'relaxed', temperature: 0, ignore_eos: true, logprobs: 1, return_token_ids: true };
  const response = await cluster.post('/v1/completions', { ...fields, ...request });
  assert.equal(response.status, 200, await response.clone().text());
  const { choices } = (await response.json()) as { choices: readonly Answer[] };
  return choices[0]!;
}

/** Each row of an answer leaves after a number of passes of its own. */
function randomRequest(draws: RandomStream) {
  return {
    prompt: Array.from({ length: draws.whole(1, 20) }, () => draws.whole(0, VOCAB - 1)),
    max_tokens: draws.whole(2, 24),
    exit_depths: Array.from({ length: draws.whole(1, 8) }, () => draws.whole(1, LOOPS)),
  };
}

/** PyTorch's prompt, log probabilities of its ids but the first, and the likeliest next id. */
function expected() {
  const tensors = relaxedLogits('llama');
  const prompt = [...tensors.get('prompt')!];
  const logits = tensors.get(CASE)!;
  const rows = prompt.map((_, row) => Array.from(logits.subarray(row * VOCAB, (row + 1) * VOCAB)));
  const scale = rows.flat().reduce((largest, logit) => Math.max(largest, Math.abs(logit)), 0);
  const logprobs = rows.map((row) => {
    const largest = Math.max(...row);
    const sum = largest + Math.log(row.reduce((total, logit) => total + Math.exp(logit - largest), 0));
    return row.map((logit) => logit - sum);
  });
  const next = rows.at(-1)!.indexOf(Math.max(...rows.at(-1)!));
  return { prompt, given: prompt.slice(1).map((id, row) => logprobs[row]![id]!), next, scale };
}

/** How far the log probabilities of PyTorch's prompt are from its own: the mean in nats and the largest of the largest logit. */
function apart({ logprobs }: Answer): { mean: number; worst: number } {
  const { given, scale } = expected();
  const found = logprobs.token_logprobs.slice(1, -1);
  assert.equal(found.length, given.length);
  const differences = given.map((logprob, at) => Math.abs(found[at]! - logprob));
  const mean = differences.reduce((sum, difference) => sum + difference, 0) / given.length;
  return { mean, worst: Math.max(...differences) / scale };
}

const scoring = () => ({ prompt: expected().prompt, max_tokens: 1, echo: true });

for (const placement of ['homed', 'staged'] as const) {
  test(`${placement}: among requests of every depth each says what it says alone, and a whole prompt what PyTorch says`, {
    timeout: 120_000,
  }, async () => {
    const bundle = await bundleOf(`f32-${placement}`);
    const workerOptions = ['--no-prefix-cache'];
    await using cluster = await Cluster.start({ bundle, workers: 2, placement, workerOptions });
    const draws = new RandomStream(SEED);
    const requests = Array.from({ length: REQUESTS }, () => randomRequest(draws));
    const [scored, ...together] = await Promise.all(
      [scoring(), ...requests].map((request) => complete(cluster, request)),
    );
    assert.ok(apart(scored!).worst <= 1e-4, `off by ${apart(scored!).worst} of the largest logit`);
    assert.equal(scored!.token_ids.at(-1), expected().next);
    for (const [index, request] of requests.entries()) {
      const [mixed, alone] = [together[index]!, await complete(cluster, request)];
      assert.equal(mixed.token_ids.length, request.max_tokens);
      assert.deepEqual(mixed.token_ids, alone.token_ids, `request ${index}`);
      alone.logprobs.token_logprobs.forEach((logprob, at) => {
        assert.ok(
          Math.abs(mixed.logprobs.token_logprobs[at]! - logprob!) < 1e-4,
          `request ${index}, token ${at}`,
        );
      });
    }
  });
}

describe('with base and factors stored apart', () => {
  const served = async (name: string, ...options: string[]) => {
    const bundle = await bundleOf(name, ...options);
    await using cluster = await Cluster.start({ bundle, workers: 1, placement: 'homed' });
    return apart(await complete(cluster, scoring()));
  };
  test('eight bits say nearly what f32 says, whatever the factors are in, and four bits are farther away', {
    timeout: 120_000,
  }, async () => {
    const plain = await served('int8-f32', '--precision', 'int8', '--lora-precision', 'f32');
    const both = await served('int8-int8', '--precision', 'int8', '--lora-precision', 'int8');
    const four = await served('int4-f32', '--precision', 'int4', '--lora-precision', 'f32');
    // In f32 they would be within 1e-4.
    for (const { worst } of [plain, both, four]) assert.ok(worst > 1e-4);
    for (const { mean } of [plain, both]) assert.ok(mean < 0.1);
    assert.ok(four.mean > plain.mean && four.mean < 0.5);
  });
});

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { RandomStream } from '@rondo/lab';
import { Cluster } from './cluster.ts';
import { TinyBundle } from './tiny-bundle.ts';

const LOOPS = 4;
const REQUESTS = 200;
const SEED = 20_251_124;
/** Log probabilities together and alone may differ by this much, in nats. */
const TOLERANCE = 1e-4;

let bundle: TinyBundle;
/** Serves everything at once, prompts sharing pages, and one at a time, each prompt anew. */
let crowded: Cluster;
let lonely: Cluster;
before(async () => {
  bundle = await TinyBundle.make(LOOPS);
  const placement = 'homed';
  crowded = await Cluster.start({ bundle: bundle.directory, workers: 2, placement });
  const workerOptions = ['--no-prefix-cache'];
  lonely = await Cluster.start({ bundle: bundle.directory, workers: 1, placement, workerOptions });
});
after(async () => {
  await crowded[Symbol.asyncDispose]();
  await lonely[Symbol.asyncDispose]();
  await bundle[Symbol.asyncDispose]();
});

interface Request {
  readonly prompt: readonly number[];
  readonly max_tokens: number;
  readonly exit_depths: readonly number[];
  readonly temperature: number;
  readonly seed: number;
}

/** Prompts of up to 200 tokens, one in four goes on from the one before; every row with its own depth, half sampled. */
function randomRequest(draws: RandomStream, before: readonly number[]): Request {
  const own = Array.from({ length: Math.round(100 ** draws.next()) }, () => draws.whole(3, 302));
  return {
    prompt: draws.whole(1, 4) === 1 ? [...before.slice(0, 100), ...own] : own,
    max_tokens: Math.round(40 ** draws.next()),
    exit_depths: Array.from({ length: draws.whole(1, 8) }, () => draws.whole(1, LOOPS)),
    temperature: draws.whole(0, 1),
    seed: draws.whole(0, 0xffff_ffff),
  };
}

interface Completion {
  readonly choices: readonly {
    readonly token_ids: readonly number[];
    readonly logprobs: { readonly token_logprobs: readonly number[] };
  }[];
  readonly usage: { readonly passes: { readonly prompt: number; readonly generated: number } };
}

async function serve(cluster: Cluster, request: Request): Promise<Completion> {
  const fields = { model: 'tiny', ignore_eos: true, logprobs: 0, return_token_ids: true };
  const response = await cluster.post('/v1/completions', { ...fields, ...request });
  assert.equal(response.status, 200, await response.clone().text());
  return (await response.json()) as Completion;
}

/** The first token comes from the last row of the prompt; every other has a row, which leaves at its recorded depth. */
const passesOf = ({ prompt, max_tokens: tokens, exit_depths: depths }: Request) => ({
  prompt: prompt.length * LOOPS,
  generated: Array.from({ length: tokens - 1 }, (_, row) => depths[row % depths.length]!).reduce(
    (sum, passes) => sum + passes,
    0,
  ),
});

test(`${REQUESTS} random requests at once say what each says alone`, { timeout: 300_000 }, async () => {
  const draws = new RandomStream(SEED);
  const requests: Request[] = [];
  while (requests.length < REQUESTS) requests.push(randomRequest(draws, requests.at(-1)?.prompt ?? []));
  const together = await Promise.all(requests.map((request) => serve(crowded, request)));
  for (const [index, request] of requests.entries()) {
    const [mixed, alone] = [together[index]!, await serve(lonely, request)];
    const [choice, expected] = [mixed.choices[0]!, alone.choices[0]!];
    const which = `request ${index} of seed ${SEED}`;
    assert.deepEqual(choice.token_ids, expected.token_ids, which);
    assert.equal(expected.token_ids.length, request.max_tokens, which);
    // Passes of a prompt's shared part have been spent by another.
    assert.equal(mixed.usage.passes.generated, passesOf(request).generated, which);
    assert.deepEqual(alone.usage.passes, passesOf(request), which);
    expected.logprobs.token_logprobs.forEach((logprob, at) => {
      const difference = Math.abs(choice.logprobs.token_logprobs[at]! - logprob);
      assert.ok(difference < TOLERANCE, `${which}, token ${at}: differs by ${difference}`);
    });
  }
});

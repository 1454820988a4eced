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
let cluster: Cluster;
before(async () => {
  bundle = await TinyBundle.make(LOOPS);
  cluster = await Cluster.start({ bundle: bundle.directory, workers: 2, placement: 'homed' });
});
after(async () => {
  await cluster[Symbol.asyncDispose]();
  await bundle[Symbol.asyncDispose]();
});

interface Request {
  readonly prompt: readonly number[];
  readonly max_tokens: number;
  readonly exit_depths: readonly number[];
  readonly temperature: number;
  readonly seed: number;
}

/** Prompts of up to three chunks, answers of up to 40 tokens, every row with a depth of its own, half of them sampled. */
function randomRequest(draws: RandomStream): Request {
  return {
    prompt: Array.from({ length: Math.round(150 ** draws.next()) }, () => draws.whole(3, 302)),
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

async function serve(request: Request): Promise<Completion> {
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
  const requests = Array.from({ length: REQUESTS }, () => randomRequest(draws));
  const together = await Promise.all(requests.map(serve));
  for (const [index, request] of requests.entries()) {
    const [mixed, alone] = [together[index]!, await serve(request)];
    const [choice, expected] = [mixed.choices[0]!, alone.choices[0]!];
    const which = `request ${index} of seed ${SEED}`;
    assert.deepEqual(choice.token_ids, expected.token_ids, which);
    assert.equal(expected.token_ids.length, request.max_tokens, which);
    assert.deepEqual(mixed.usage.passes, passesOf(request), which);
    assert.deepEqual(alone.usage.passes, passesOf(request), which);
    expected.logprobs.token_logprobs.forEach((logprob, at) => {
      const difference = Math.abs(choice.logprobs.token_logprobs[at]! - logprob);
      assert.ok(difference < TOLERANCE, `${which}, token ${at}: differs by ${difference}`);
    });
  }
});

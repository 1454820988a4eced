import assert from 'node:assert/strict';
import { Scrape } from '@rondo/lab';
import { ToldStream } from './told-stream.ts';

/** Log probabilities with and without a fault may differ by this much, in nats. */
const TOLERANCE = 1e-4;

/** Ids that no tokenizer chose. */
export const promptOf = (length: number, seed: number): number[] =>
  Array.from({ length }, (_, index) => 3 + ((index * 7919 + seed * 104729) % 300));

/** Every way of asking that recovery must not change, for a bundle of three passes. */
export const REQUESTS: readonly object[] = [
  { prompt: promptOf(90, 1), max_tokens: 400, temperature: 0, logprobs: 2 },
  { prompt: promptOf(7, 2), max_tokens: 400, temperature: 0.9, seed: 7, n: 2, logprobs: 0 },
  {
    prompt: promptOf(40, 3),
    max_tokens: 400,
    temperature: 1,
    seed: 11,
    frequency_penalty: 0.7,
    presence_penalty: 0.4,
    repetition_penalty: 1.2,
    logprobs: 1,
  },
  { prompt: promptOf(20, 4), max_tokens: 400, temperature: 0, exit_depths: [1, 3, 2, 2, 1], logprobs: 0 },
  { prompt: promptOf(60, 5), max_tokens: 400, temperature: 0, echo: true, logprobs: 1 },
];

/** Streams all requests at once; `disturb` is called once every one of them has told some tokens. */
export async function stream(
  url: string,
  disturb: () => unknown = () => {},
  requests: readonly object[] = REQUESTS,
): Promise<ToldStream[]> {
  const streams = requests.map((request) => new ToldStream(url, request));
  await Promise.all(streams.map((each) => each.told(20)));
  await disturb();
  await Promise.all(streams.map(({ ended }) => ended));
  return streams;
}

export function assertSame(found: readonly ToldStream[], expected: readonly ToldStream[]): void {
  expected.forEach(({ choices }, request) => {
    assert.equal(found[request]!.choices.length, choices.length);
    choices.forEach((choice, index) => {
      const told = found[request]!.choices[index]!;
      const which = `request ${request}, choice ${index}`;
      assert.deepEqual(told.ids, choice.ids, which);
      assert.equal(told.text, choice.text, which);
      assert.equal(told.finish, choice.finish, which);
      assert.equal(told.logprobs.length, choice.logprobs.length, which);
      choice.logprobs.forEach((logprob, at) => {
        const difference = logprob === null ? 0 : Math.abs(told.logprobs[at]! - logprob);
        assert.ok(difference < TOLERANCE, `${which}, token ${at}: differs by ${difference}`);
      });
    });
  });
}

/** Sequences that went on to another worker so far, all or those by one cause. */
export const recoveries = async (url: string, cause?: string): Promise<number> =>
  (await Scrape.of(url)).sum('rondo_recoveries_total', cause && `cause="${cause}"`);

/** Which of `candidates` leads to the worker with the most sequences: where they are placed is the planner's affair. */
export async function busiest<T>(
  url: string,
  candidates: readonly T[],
  addressOf: (candidate: T) => string,
): Promise<T> {
  const { workers } = (await (await fetch(`${url}/health`)).json()) as {
    workers: { address: string; load?: { sequences: number } }[];
  };
  const sequences = ({ load }: (typeof workers)[number]) => load?.sequences ?? 0;
  const [{ address }] = workers.toSorted((a, b) => sequences(b) - sequences(a)) as [(typeof workers)[number]];
  return candidates.find((candidate) => addressOf(candidate) === address)!;
}

/** Asks until so many workers are well; the test's own time limit bounds it. */
export async function untilHealthy(url: string, count: number): Promise<void> {
  for (;;) {
    const response = await fetch(`${url}/health`);
    const { workers } = (await response.json()) as { workers: { status: string }[] };
    if (workers.filter(({ status }) => status === 'ok').length === count) return;
  }
}

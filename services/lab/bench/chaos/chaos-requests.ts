import type { Manifest } from '@rondo/bundle';
import { RandomStream } from '../../load/random-stream.ts';

/** A request of the chaos suite: its answer follows from its body alone. */
export interface ChaosRequest {
  readonly path: '/v1/completions' | '/v1/chat/completions';
  readonly body: Readonly<Record<string, unknown>> & { readonly stream: boolean };
  /** Answers side by side. */
  readonly choices: number;
}

const PREFIXES = 3;
const PREFIX_TOKENS = { least: 40, most: 160 };
const TAIL_TOKENS = { least: 1, most: 200 };
const OUTPUT_TOKENS = { least: 24, most: 500 };
const CHAT_SHARE = 0.15;

/**
 * `count` requests of everything a client may ask for, mixed: streamed or whole, greedy or seeded, several choices, log
 * probabilities, penalties, biases, stop strings, exits, prompts of all lengths, many with a common beginning. They follow from
 * the seed.
 */
export function chaosRequests(manifest: Manifest, count: number, seed: number): ChaosRequest[] {
  const draws = new RandomStream(seed);
  const ids = (length: number) =>
    Array.from({ length }, () => draws.whole(1, Math.min(255, manifest.shape.vocab - 1)));
  const length = ({ least, most }: typeof TAIL_TOKENS) => Math.round(least * (most / least) ** draws.next());
  const prefixes = Array.from({ length: PREFIXES }, () => ids(length(PREFIX_TOKENS)));
  const hasText = manifest.tokenizer !== undefined;
  return Array.from({ length: count }, () => {
    const prefix = draws.next() < 0.5 ? prefixes[draws.whole(0, PREFIXES - 1)]! : [];
    const prompt = [...prefix, ...ids(length(TAIL_TOKENS))];
    const stream = draws.next() < 0.8;
    const shared = { ...sampling(draws), ...exits(draws, manifest), ...limits(draws, length(OUTPUT_TOKENS)) };
    const chat = hasText && draws.next() < CHAT_SHARE;
    const [logprobs, top] = [draws.next() < 0.3, draws.whole(0, 5)];
    const body = {
      model: manifest.name,
      ...shared,
      ...{ stream, return_token_ids: true, ...(stream && { stream_options: { include_usage: true } }) },
    };
    const choices = Number(shared.n ?? 1);
    if (chat) {
      const content = prompt.map((id) => (32 + (id % 95)) as number);
      const messages = [{ role: 'user', content: String.fromCharCode(...content) }];
      return {
        ...{ path: '/v1/chat/completions' as const, choices },
        body: { ...body, messages, ...(logprobs && { logprobs: true, top_logprobs: top }) },
      };
    }
    return {
      ...{ path: '/v1/completions' as const, choices },
      body: { ...body, prompt, ...(logprobs && { logprobs: top }) },
    };
  });
}

/** Greedy or seeded; some with penalties or a bias. */
function sampling(draws: RandomStream): Record<string, unknown> {
  const seed = draws.whole(0, 2 ** 31);
  const pick = <T>(...values: T[]) => values[draws.whole(0, values.length - 1)]!;
  const how =
    draws.next() < 0.3
      ? { temperature: 0 }
      : { temperature: pick(0.7, 1, 1.3), ...pick({}, { top_p: 0.9 }, { top_k: 40 }, { min_p: 0.02 }) };
  const bent = pick(
    ...[{}, {}, {}, { frequency_penalty: 0.7 }, { presence_penalty: 1 }, { repetition_penalty: 1.2 }],
    { logit_bias: { '65': 2, '66': -100 } },
  );
  return { seed, ...how, ...bent, ...(draws.next() < 0.15 && { n: draws.whole(2, 3) }) };
}

function limits(draws: RandomStream, maxTokens: number): Record<string, unknown> {
  return {
    max_tokens: maxTokens,
    ...(draws.next() < 0.7 ? { ignore_eos: true } : draws.next() < 0.5 && { stop: ['Q', '~z'] }),
  };
}

/** A third of the requests narrows the passes of its tokens, as far as the bundle's blocks know how. */
function exits(draws: RandomStream, { maxDepth, exit }: Manifest): Record<string, unknown> {
  const [kind, depth, threshold] = [draws.next(), draws.whole(1, maxDepth), draws.next()];
  if (kind < 0.15) return { max_depth: depth };
  if (kind < 0.35 && exit.signals.includes('latent-diff')) {
    return { exit_policy: 'latent-diff', exit_threshold: 0.1 + 0.5 * threshold };
  }
  return {};
}

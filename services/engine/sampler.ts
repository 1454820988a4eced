import { RondoError, type SamplingParams, type TokenLogprob } from '@rondo/core';
import { uniform } from './counter-random.ts';
import type { HeadRow } from './engine.ts';
import { rankTokens, type TokenRanking } from './token-ranking.ts';

/** Token ids before the one to choose. */
export interface TokenHistory {
  readonly prompt: readonly number[];
  readonly output: readonly number[];
}

const reshapes = (params: SamplingParams): boolean =>
  params.repetitionPenalty !== 1 ||
  params.presencePenalty !== 0 ||
  params.frequencyPenalty !== 0 ||
  params.logitBias.size > 0;

/**
 * True when `candidates` top logits can never be enough for these parameters, so that the head run should bring all
 * logits at once. False promises nothing: `sample` may still ask for them.
 */
export function needsLogits(params: SamplingParams, candidates: number): boolean {
  if (reshapes(params)) return true;
  if (params.temperature === 0) return false;
  if (params.topK > 0) return params.topK > candidates;
  // The normaliser at another temperature is a sum over the vocabulary; only min_p can make it unnecessary.
  return params.temperature !== 1 && !(params.minP > 0 && params.topP >= 1);
}

/**
 * Chooses the token with draw `index` of `params.seed`: penalties and bias, temperature, top_k, top_p, min_p in this
 * order. Tokens are ordered by descending logit, ties by lower id, in whichever part of them is at hand, so candidates
 * and full logits choose the same token. `logprob` is the model's own: before temperature, penalties and filters.
 * @returns 'needs-logits' when the choice depends on tokens outside the candidates and `row.logits` is absent.
 * @throws RondoError ENGINE_FAILED when the logits are not finite numbers.
 */
export function sample(
  row: HeadRow,
  params: SamplingParams,
  history: TokenHistory,
  index: number,
): TokenLogprob | 'needs-logits' {
  if (!Number.isFinite(row.logSumExp)) {
    throw new RondoError('ENGINE_FAILED', `the head returned logits whose log-sum-exp is ${row.logSumExp}`);
  }
  if (reshapes(params)) {
    if (!row.logits) return 'needs-logits';
    const id = chooseAmong(reshape(row.logits, params, history), params, index);
    return { id, logprob: row.logits[id]! - row.logSumExp };
  }
  const { topLogits: logits, topIds: ids, logSumExp } = row;
  const mass =
    params.temperature === 1
      ? Math.exp(logSumExp - logits[0]!)
      : row.logits && massOf(row.logits, params.temperature);
  const id =
    choose({ logits, ids, complete: false }, params, index, mass) ??
    (row.logits && chooseAmong(row.logits, params, index, mass));
  return id === undefined ? 'needs-logits' : { id, logprob: logprobOf(row, id)! };
}

/** Log probability of token `id` under the model, or undefined when neither candidates nor logits tell. */
export function logprobOf(row: HeadRow, id: number): number | undefined {
  const logit = row.logits?.[id] ?? row.topLogits[row.topIds.indexOf(id)];
  return logit === undefined ? undefined : logit - row.logSumExp;
}

/** The `count` likeliest tokens of a row, likeliest first. */
export function topLogprobs(row: HeadRow, count: number): TokenLogprob[] {
  return Array.from(row.topIds.subarray(0, count), (id, rank) => ({
    id,
    logprob: row.topLogits[rank]! - row.logSumExp,
  }));
}

/** Temperatures below the likeliest token: the first tells almost every draw, and ranking few tokens is cheap. */
const SPANS = [4, 8, 16];

/** The token id that the draw falls on, among all logits. */
function chooseAmong(
  logits: Float32Array,
  params: SamplingParams,
  index: number,
  mass = massOf(logits, params.temperature),
): number {
  const largest = largestOf(logits);
  for (const span of SPANS) {
    const id = choose(rankTokens(logits, largest - span * params.temperature), params, index, mass);
    if (id !== undefined) return id;
  }
  return choose(rankTokens(logits), params, index, mass)!;
}

/**
 * The token id that the draw falls on, or undefined when the ranking does not hold enough to decide.
 * @param mass Σ exp((logit − largest) / temperature) over the vocabulary; undefined when nobody knows.
 */
function choose(
  { logits, ids, complete }: TokenRanking,
  params: SamplingParams,
  index: number,
  mass: number | undefined,
): number | undefined {
  const { temperature, topK, topP, minP } = params;
  if (temperature === 0) return ids[0];
  const weight = (rank: number): number => Math.exp((logits[rank]! - logits[0]!) / temperature);
  const massOfFirst = (count: number): number => {
    let sum = 0;
    for (let rank = 0; rank < count; rank++) sum += weight(rank);
    return sum;
  };

  // What is left: the first `count` tokens and, while `open`, all those behind the ranking too.
  let count = ids.length;
  let open = !complete;
  let total = mass;
  if (topK > 0) {
    if (topK > count && open) return undefined;
    count = Math.min(count, topK);
    open = false;
    total = massOfFirst(count);
  }
  if (topP < 1) {
    if (total === undefined) return undefined;
    let kept = 0;
    let sum = 0;
    while (kept < count && sum < topP * total) sum += weight(kept++);
    if (sum < topP * total && open) return undefined;
    count = kept;
    open = false;
    total = sum;
  }
  if (minP > 0) {
    let kept = 1;
    while (kept < count && weight(kept) >= minP) kept++;
    if (kept === count && open) return undefined;
    count = kept;
    open = false;
    total = massOfFirst(count);
  }
  if (total === undefined) return undefined;
  const target = uniform(params.seed, index) * total;
  let sum = 0;
  for (let rank = 0; rank < count; rank++) {
    sum += weight(rank);
    if (sum > target) return ids[rank];
  }
  // Rounding of the total can leave a sliver behind the last token; the likeliest takes it.
  return open ? undefined : ids[0];
}

function largestOf(logits: Float32Array): number {
  let largest = Number.NEGATIVE_INFINITY;
  for (const logit of logits) if (logit > largest) largest = logit;
  return largest;
}

/** Σ exp((logit − largest) / temperature) over the vocabulary; at temperature 0 the likeliest token is all of it. */
function massOf(logits: Float32Array, temperature: number): number {
  if (temperature === 0) return 1;
  const largest = largestOf(logits);
  let sum = 0;
  for (const logit of logits) sum += Math.exp((logit - largest) / temperature);
  return sum;
}

/**
 * Logits after penalties and bias. Repetition divides positive and multiplies negative logits of tokens in prompt or
 * output (Keskar et al. 2019, CTRL, §4.1); presence and frequency subtract for tokens of the output, as OpenAI's API does.
 */
function reshape(source: Float32Array, params: SamplingParams, history: TokenHistory): Float32Array {
  const logits = source.slice();
  if (params.repetitionPenalty !== 1) {
    for (const id of new Set([...history.prompt, ...history.output])) {
      const logit = logits[id]!;
      logits[id] = logit > 0 ? logit / params.repetitionPenalty : logit * params.repetitionPenalty;
    }
  }
  if (params.presencePenalty !== 0 || params.frequencyPenalty !== 0) {
    const counts = new Map<number, number>();
    for (const id of history.output) counts.set(id, (counts.get(id) ?? 0) + 1);
    for (const [id, count] of counts) {
      logits[id] = logits[id]! - params.presencePenalty - count * params.frequencyPenalty;
    }
  }
  for (const [id, bias] of params.logitBias) if (id < logits.length) logits[id] = logits[id]! + bias;
  return logits;
}

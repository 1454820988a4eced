import type { ChoiceEnd } from './choice.ts';

/** OpenAI's usage object and, beside it, the passes that were spent. */
export interface Usage {
  readonly prompt_tokens: number;
  readonly prompt_tokens_details: { readonly cached_tokens: number };
  readonly completion_tokens: number;
  readonly total_tokens: number;
  readonly passes: { readonly prompt: number; readonly generated: number };
}

/** What was asked, as far as it is billed; the choices of one prompt share its array. */
export interface Billed {
  /** Each prompt counted once, however many choices continue it. */
  readonly promptTokens: number;
  readonly choices: readonly { readonly request: { readonly promptIds: readonly number[] } }[];
}

/** `ends` has one entry a choice. Passes count all that ran. */
export function usageOf({ promptTokens, choices }: Billed, ends: readonly ChoiceEnd[]): Usage {
  const prompts = choices.map(({ request }) => request.promptIds);
  const sum = (pick: (end: ChoiceEnd) => number) => ends.reduce((total, end) => total + pick(end), 0);
  const completionTokens = sum((end) => end.tokens);
  return {
    prompt_tokens: promptTokens,
    prompt_tokens_details: { cached_tokens: cachedTokens(prompts, ends) },
    completion_tokens: completionTokens,
    total_tokens: promptTokens + completionTokens,
    passes: { prompt: sum((end) => end.promptPasses), generated: sum((end) => end.generatedPasses) },
  };
}

/** Of each prompt what was there before the request: one of its choices may find what another has just computed. */
function cachedTokens(prompts: readonly (readonly number[])[], ends: readonly ChoiceEnd[]): number {
  const cached = new Map<readonly number[], number>();
  prompts.forEach((prompt, index) => {
    cached.set(prompt, Math.min(ends[index]!.cachedTokens, cached.get(prompt) ?? prompt.length));
  });
  return [...cached.values()].reduce((sum, tokens) => sum + tokens, 0);
}

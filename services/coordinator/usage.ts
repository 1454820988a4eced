import type { ChoiceEnd } from './choice.ts';

/** OpenAI's usage object and, beside it, the passes that were spent. */
export interface Usage {
  readonly prompt_tokens: number;
  readonly completion_tokens: number;
  readonly total_tokens: number;
  readonly passes: { readonly prompt: number; readonly generated: number };
}

/** `promptTokens` counts each prompt once, however many choices continue it; passes count all that ran. */
export function usageOf(promptTokens: number, ends: readonly ChoiceEnd[]): Usage {
  const sum = (pick: (end: ChoiceEnd) => number) => ends.reduce((total, end) => total + pick(end), 0);
  const completionTokens = sum((end) => end.tokens);
  return {
    prompt_tokens: promptTokens,
    completion_tokens: completionTokens,
    total_tokens: promptTokens + completionTokens,
    passes: { prompt: sum((end) => end.promptPasses), generated: sum((end) => end.generatedPasses) },
  };
}

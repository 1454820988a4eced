import type { ChoiceDelta, ChoiceEnd, ChoiceToken, PromptToken } from './choice.ts';
import type { SequenceRequest } from './sequence-life.ts';
import type { Usage } from './usage.ts';

/** One choice to generate; its place in the list is its index in the answer. */
export interface ChoicePlan {
  readonly request: SequenceRequest;
  readonly stops: readonly string[];
}

/** A choice once all of it is there. */
export interface WholeChoice {
  readonly text: string;
  readonly tokens: readonly ChoiceToken[];
  readonly promptTokens: readonly PromptToken[];
  readonly end: ChoiceEnd;
}

/** How an endpoint words its answer. */
export interface AnswerWords {
  /** What every chunk of a stream says before its choices. */
  readonly envelope: object;
  /** Choice `index` in the chunks sent before its first text, one in each. */
  opening(index: number): object[];
  /** Choice `index` in the chunk of one delta; undefined sends none. */
  choice(index: number, delta: ChoiceDelta): object | undefined;
  whole(choices: readonly WholeChoice[], usage: Usage): object;
}

/** A request to generate, checked: what is to be generated, and how it is to be told. */
export interface AnswerPlan {
  readonly choices: readonly ChoicePlan[];
  /** Tokens of all prompts, each counted once. */
  readonly promptTokens: number;
  readonly stream: boolean;
  readonly includeUsage: boolean;
  readonly words: AnswerWords;
}

import { randomUUID } from 'node:crypto';
import { LIMITS } from '@rondo/core';
import { z } from 'zod';
import type { AnswerPlan, AnswerWords, WholeChoice } from './answer-plan.ts';
import { type ChoiceDelta, type PromptToken, tokenPasses } from './choice.ts';
import {
  generationFields,
  type ModelFacts,
  parseBody,
  samplingOf,
  unsupported,
  validGeneration,
} from './generation-fields.ts';
import { characters, completionLogprobs, type ReportedToken } from './logprobs.ts';
import type { ModelService } from './model-service.ts';
import { invalid } from './openai-error.ts';
import { type Prompt, parsePrompts } from './prompt.ts';
import type { TextCodec } from './text.ts';
import { tokenBudget } from './token-budget.ts';

/** OpenAI's default of the completions endpoint. */
const MAX_TOKENS_DEFAULT = 16;

const schema = z.strictObject({
  ...generationFields,
  prompt: z.unknown().optional(),
  max_tokens: z.int().min(0).optional(),
  max_completion_tokens: z.int().min(0).optional(),
  logprobs: z.int().min(0).max(LIMITS.topLogprobsMax).optional(),
  echo: z.boolean().default(false),
  best_of: z.int().optional(),
  suffix: unsupported((value) => value === ''),
});

/**
 * A /v1/completions request, checked. Choice `promptIndex * n + i` is the i-th continuation of a prompt.
 * @throws RondoError with the field at fault as param.
 */
export function planCompletion(body: unknown, service: Pick<ModelService, 'model' | 'codec'>): AnswerPlan {
  const { model, codec } = service;
  const fields = parseBody(schema, body);
  const valid = validGeneration(fields, model);
  if (fields.best_of !== undefined && fields.best_of !== fields.n) {
    throw invalid('best_of', 'ranking of extra choices is not supported; use n');
  }
  if (fields.prompt === undefined) throw invalid('prompt', 'is required');
  const prompts = parsePrompts(fields.prompt, { ...model, context: valid.context }, codec);
  if (prompts.length * valid.n > LIMITS.sequencesMax) {
    throw invalid(
      'n',
      `prompts times n: at most ${LIMITS.sequencesMax} choices, got ${prompts.length * valid.n}`,
    );
  }
  const newName = fields.max_completion_tokens !== undefined;
  const choices = prompts.flatMap((prompt) => {
    const maxTokens = tokenBudget({
      promptParam: 'prompt',
      promptTokens: prompt.ids.length,
      maxTokensParam: newName ? 'max_completion_tokens' : 'max_tokens',
      maxTokens: newName ? fields.max_completion_tokens : fields.max_tokens,
      otherwise: MAX_TOKENS_DEFAULT,
      context: valid.context,
    });
    return Array.from({ length: valid.n }, (_, choice) => ({
      stops: valid.stops,
      request: {
        promptIds: prompt.ids,
        maxTokens,
        stopIds: valid.stopIds,
        sampling: samplingOf(valid.sampling, choice),
        exit: valid.exit,
        placement: valid.placement,
        topLogprobs: fields.logprobs,
        promptLogprobs: fields.echo && fields.logprobs !== undefined,
      },
    }));
  });
  return {
    choices,
    promptTokens: prompts.reduce((sum, { ids }) => sum + ids.length, 0),
    stream: valid.stream,
    includeUsage: valid.includeUsage,
    words: new CompletionWords(model, codec, {
      prompts,
      n: valid.n,
      echo: fields.echo,
      logprobs: fields.logprobs !== undefined,
      tokenIds: valid.returnTokenIds || codec === undefined,
      passes: valid.returnPasses,
    }),
  };
}

interface Wishes {
  readonly prompts: readonly Prompt[];
  readonly n: number;
  readonly echo: boolean;
  readonly logprobs: boolean;
  readonly tokenIds: boolean;
  readonly passes: boolean;
}

/** A prompt before its continuation, and its tokens where they are reported. */
interface Echo {
  readonly text: string;
  readonly tokens: readonly ReportedToken[];
}

const NO_ECHO: Echo = { text: '', tokens: [] };

/** The words of OpenAI's text_completion objects. */
class CompletionWords implements AnswerWords {
  readonly #codec: TextCodec | undefined;
  readonly #wishes: Wishes;
  readonly envelope: object;
  /** Of each choice in a stream: where the next token's text begins, and until its first chunk what is known of the prompt's tokens. */
  readonly #offsets = new Map<number, number>();
  readonly #unbegun = new Map<number, PromptToken[]>();

  constructor(model: ModelFacts, codec: TextCodec | undefined, wishes: Wishes) {
    this.#codec = codec;
    this.#wishes = wishes;
    this.envelope = {
      id: `cmpl-${randomUUID()}`,
      object: 'text_completion',
      created: Math.floor(Date.now() / 1000),
      model: model.name,
    };
  }

  opening(index: number): object[] {
    this.#unbegun.set(index, []);
    return [];
  }

  choice(index: number, delta: ChoiceDelta): object | undefined {
    const known = this.#unbegun.get(index);
    known?.push(...delta.promptTokens);
    // Log probabilities of a prompt come in several events; the echo waits for the last.
    if (delta.tokens.length === 0 && delta.text === '' && delta.end === undefined) return undefined;
    this.#unbegun.delete(index);
    return this.#choice(index, delta, known);
  }

  whole(choices: readonly WholeChoice[], usage: object): object {
    const worded = choices.map((choice, index) => this.#choice(index, choice, choice.promptTokens));
    return { ...this.envelope, choices: worded, usage };
  }

  /** `begins`: what is known of the prompt's tokens, for the first that is told of a choice; of the prompt no other says anything. */
  #choice(index: number, delta: ChoiceDelta, begins: readonly PromptToken[] | undefined): object {
    const echo = begins && this.#wishes.echo ? this.#echo(index, begins) : NO_ECHO;
    const { logprobs, tokenIds, passes } = this.#wishes;
    return {
      index,
      text: echo.text + delta.text,
      logprobs: logprobs ? this.#report(index, delta, echo.tokens) : null,
      finish_reason: delta.end?.reason ?? null,
      ...(tokenIds && { token_ids: delta.tokens.map(({ id }) => id) }),
      ...(tokenIds && begins && { prompt_token_ids: this.#prompt(index).ids }),
      ...(passes && { token_passes: tokenPasses(delta.tokens) }),
    };
  }

  #report(index: number, { tokens, end }: ChoiceDelta, echo: readonly ReportedToken[]): object {
    // Clients that score a prompt ask for one token and cut off the report's last entry, whatever that token is.
    const reported = [...echo, ...tokens, ...(end?.stopToken ? [end.stopToken] : [])];
    const offset = this.#offsets.get(index) ?? 0;
    // Not by the text that was sent: of a token whose last characters are held back for a stop string the first went out before it.
    this.#offsets.set(index, offset + characters(reported.map(({ text }) => text).join('')));
    return completionLogprobs(this.#codec, reported, offset);
  }

  #prompt(index: number): Prompt {
    const { prompts, n } = this.#wishes;
    return prompts[Math.floor(index / n)]!;
  }

  /**
   * The prompt as the answer repeats it: as it was written, which clients cut off by its length. With a report it is what its tokens spell,
   * in which their offsets lie; the first has no log probability.
   */
  #echo(index: number, reported: readonly PromptToken[]): Echo {
    const { ids, implied, text: written } = this.#prompt(index);
    if (written !== undefined && !this.#wishes.logprobs) return { text: written, tokens: [] };
    const shown = this.#codec?.pieces(ids.slice(implied)) ?? [];
    const tokens = ids.map((id, position) => {
      const known = position === 0 ? undefined : reported[position - 1];
      return {
        id,
        logprob: known?.logprob ?? null,
        top: known?.top ?? [],
        text: shown[position - implied] ?? '',
      };
    });
    return { text: shown.join(''), tokens };
  }
}

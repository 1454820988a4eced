import { RondoError } from '@rondo/core';
import type { ContextRoom } from './context-room.ts';

/** Tokens of an answer that is worth having: OpenAI's own default for completions. */
const SHORT_ANSWER = 16;

/** What a request asks for, and the names of its fields for the error. */
export interface BudgetDemand {
  readonly promptParam: string;
  readonly promptTokens: number;
  readonly maxTokensParam: string;
  /** As the request said it; undefined leaves it to `otherwise`. */
  readonly maxTokens: number | undefined;
  /** Tokens to generate when nothing was said, if that much fits. */
  readonly otherwise: number;
  readonly context: ContextRoom;
}

/**
 * How many tokens may be generated.
 * @throws RondoError CONTEXT_LENGTH_EXCEEDED naming the prompt or the wish, whichever does not fit.
 */
export function tokenBudget(demand: BudgetDemand): number {
  const { promptTokens, maxTokens, context } = demand;
  const room = context.most - promptTokens;
  if (room < 0 || (room === 0 && maxTokens !== 0)) {
    throw tooLong(
      demand.promptParam,
      `the prompt has ${promptTokens} tokens and the context holds ${context.most}, the answer included`,
    );
  }
  if (maxTokens !== undefined && maxTokens > room) {
    throw tooLong(
      demand.maxTokensParam,
      `${maxTokens} tokens after a prompt of ${promptTokens} exceed the context of ${context.most}; at most ${room} fit`,
    );
  }
  return maxTokens ?? Math.max(1, Math.min(demand.otherwise, roomUnasked(demand)));
}

/**
 * What one worker that is there leaves for the answer, where that is enough for a short one: the sequence can stay whole. Else what all that are
 * there leave, and with those that are away only where the prompt alone is more than others hold.
 */
function roomUnasked({ promptTokens, otherwise, context }: BudgetDemand): number {
  const whole = context.usual - promptTokens;
  const here = whole >= Math.min(otherwise, SHORT_ANSWER) ? whole : context.together - promptTokens;
  return here > 0 ? here : context.most - promptTokens;
}

const tooLong = (param: string, message: string): RondoError =>
  new RondoError('CONTEXT_LENGTH_EXCEEDED', `${param}: ${message}`, { param });

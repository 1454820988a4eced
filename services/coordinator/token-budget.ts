import { RondoError } from '@rondo/core';

/** What a request asks for, and the names of its fields for the error. */
export interface BudgetDemand {
  readonly promptParam: string;
  readonly promptTokens: number;
  readonly maxTokensParam: string;
  /** As the request said it; undefined leaves it to `otherwise`. */
  readonly maxTokens: number | undefined;
  /** Tokens to generate when nothing was said; the rest of the context bounds it. */
  readonly otherwise: number;
  readonly context: number;
}

/**
 * How many tokens may be generated.
 * @throws RondoError CONTEXT_LENGTH_EXCEEDED naming the prompt or the wish, whichever does not fit.
 */
export function tokenBudget(demand: BudgetDemand): number {
  const { promptTokens, maxTokens, context } = demand;
  const room = context - promptTokens;
  if (room < 0 || (room === 0 && maxTokens !== 0)) {
    throw tooLong(
      demand.promptParam,
      `the prompt has ${promptTokens} tokens and the model's context holds ${context}, the answer included`,
    );
  }
  if (maxTokens !== undefined && maxTokens > room) {
    throw tooLong(
      demand.maxTokensParam,
      `${maxTokens} tokens after a prompt of ${promptTokens} exceed the model's context of ${context}; at most ${room} fit`,
    );
  }
  return maxTokens ?? Math.min(demand.otherwise, room);
}

const tooLong = (param: string, message: string): RondoError =>
  new RondoError('CONTEXT_LENGTH_EXCEEDED', `${param}: ${message}`, { param });

import type { AnswerPlan, WholeChoice } from './answer-plan.ts';
import type { ChoiceDelta } from './choice.ts';
import { usageOf } from './usage.ts';

/** An answer that is told when all of it is there. */
export class WholeAnswer {
  readonly #plan: AnswerPlan;
  readonly #parts: readonly ChoiceDelta[][];

  constructor(plan: AnswerPlan) {
    this.#plan = plan;
    this.#parts = plan.choices.map(() => []);
  }

  hear(index: number, delta: ChoiceDelta): undefined {
    this.#parts[index]!.push(delta);
  }

  /** The body, once every choice has ended. */
  end(): object {
    const choices = this.#parts.map(joined);
    const ends = choices.map(({ end }) => end);
    return this.#plan.words.whole(choices, usageOf(this.#plan, ends));
  }
}

const joined = (deltas: readonly ChoiceDelta[]): WholeChoice => ({
  text: deltas.map(({ text }) => text).join(''),
  tokens: deltas.flatMap(({ tokens }) => tokens),
  promptTokens: deltas.flatMap(({ promptTokens }) => promptTokens),
  end: deltas.at(-1)!.end!,
});

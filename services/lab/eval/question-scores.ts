import type { ExitRule } from '@rondo/core';
import { appendRows } from './appended-rows.ts';
import type { Sequence } from './paged-sequence.ts';
import { type Answers, answersOf, type Question } from './questions.ts';
import type { Sequences } from './sequences.ts';
import { logProbabilityOf } from './window-scores.ts';

/** Answers of the model as it is after each number of passes in `exits`, for the rows of the question too. */
export async function answersByDepth(
  model: Sequences,
  question: Question,
  exits: readonly number[],
): Promise<Answers[]> {
  const { context, choices } = question;
  const sums = exits.map(() => choices.map(() => 0));
  const asked = model.create();
  await appendRows(model, [{ sequence: asked, ids: context.slice(0, -1), heads: 0 }], exits);
  // The last row of the question says what follows it, so it runs again with each choice.
  const appends = choices.map((choice) => {
    const ids = [context.at(-1)!, ...choice.slice(0, -1)];
    return { sequence: model.fork(asked), ids, heads: ids.length };
  });
  await appendRows(model, appends, exits, (at, first, heads, passes) => {
    heads.forEach((head, row) => {
      sums[exits.indexOf(passes)]![at]! += logProbabilityOf(head, choices[at]![first + row]!);
    });
  });
  for (const { sequence } of appends) model.release(sequence);
  model.release(asked);
  return sums.map((logLikelihoods) => answersOf(question, logLikelihoods));
}

/**
 * Answers as they are when the question is a prompt, whose rows run every pass, and the rows of the choices leave the loop
 * by each of `rules`.
 */
export async function answersByRule(
  model: Sequences,
  question: Question,
  rules: readonly ExitRule[],
): Promise<Answers[]> {
  const { context, choices } = question;
  const { maxDepth } = model.bundle.manifest;
  const asked = model.create();
  const firsts: number[] = [];
  await appendRows(model, [{ sequence: asked, ids: context, heads: 1 }], [maxDepth], (_, __, [head]) => {
    firsts.push(...choices.map((choice) => logProbabilityOf(head!, choice[0]!)));
  });
  const sums = rules.map(() => [...firsts]);
  for (const [at, choice] of choices.entries()) {
    const rows = rules.map((rule): { sequence: Sequence; rule: ExitRule } => ({
      sequence: model.fork(asked),
      rule,
    }));
    for (let row = 0; row + 1 < choice.length; row++) {
      const decoded = await model.decode(rows.map((each) => ({ ...each, id: choice[row]! })));
      decoded.forEach(({ head }, of) => {
        sums[of]![at]! += logProbabilityOf(head, choice[row + 1]!);
      });
    }
    for (const { sequence } of rows) model.release(sequence);
  }
  model.release(asked);
  return sums.map((logLikelihoods) => answersOf(question, logLikelihoods));
}

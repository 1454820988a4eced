import type { Row } from '../bench/suite.ts';
import { terminalTable } from '../bench/table.ts';
import type { AskedExactly, ExactCell } from './exact-match.ts';
import { exitName } from './report.ts';

/** Shares of questions answered exactly, and what they cost, in one way of leaving the loop. */
export interface ExactScore {
  readonly exit: string;
  /** Over the answers' tokens. */
  readonly meanPasses: number;
  readonly all: number;
  readonly byTask: Readonly<Record<string, number>>;
}

export function exactScore(questions: readonly AskedExactly[], { exit, answers }: ExactCell): ExactScore {
  const tasks = [...new Set(questions.map((question) => question.task))].sort();
  const byTask = Object.fromEntries(
    tasks.map((task) => [task, share(answers.filter((_, at) => questions[at]!.task === task))]),
  );
  const passes = answers.flatMap((answer) => answer.passes);
  const meanPasses = passes.reduce((sum, each) => sum + each, 0) / passes.length;
  return { exit: exitName(exit), meanPasses, all: share(answers), byTask };
}

const share = (answers: ExactCell['answers']): number =>
  answers.filter(({ right }) => right).length / answers.length;

/** Ways of leaving the loop beside tasks, in percent. A task called as another column has a column of its own all the same. */
export const exactText = (scores: readonly ExactScore[]): string =>
  terminalTable(
    scores.map(({ exit, meanPasses, all, byTask }) => {
      const whole: Row = { exit, passes: meanPasses, all: percent(all) };
      const columns = new Map(Object.entries(whole));
      for (const [task, value] of Object.entries(byTask)) {
        let name = task;
        while (columns.has(name)) name = `task ${name}`;
        columns.set(name, percent(value));
      }
      return Object.fromEntries(columns);
    }),
  );

const percent = (value: number): number => Math.round(1000 * value) / 10;

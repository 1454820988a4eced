import type { Bundle } from '@rondo/bundle';
import { type ExitRule, RondoError } from '@rondo/core';
import { appendRows } from './appended-rows.ts';
import type { ExitChoice } from './cells.ts';
import { sequencesThatFit } from './kv-fit.ts';
import { Sequences } from './sequences.ts';

/** A question as rows: the prompt's ids as they are served, and those of the right answer. */
export interface AskedExactly {
  readonly task: string;
  readonly prompt: readonly number[];
  readonly answer: readonly number[];
  /** Ids any of which ends the answer, as it does when served. */
  readonly ends: readonly number[];
}

/** Whether `id` is right at a place of the answer: behind its last, when it ends it. */
const isRight = ({ answer, ends }: AskedExactly, at: number, id: number): boolean =>
  at < answer.length ? id === answer[at] : ends.includes(id);

/** What became of one question. */
export interface ExactAnswer {
  readonly right: boolean;
  /** Passes behind each token of the answer and the one that ends it; the first follows from a prompt, whose rows run every pass. */
  readonly passes: readonly number[];
}

/** Every question, answered in one way. */
export interface ExactCell {
  readonly exit: ExitChoice;
  readonly answers: readonly ExactAnswer[];
}

export interface ExactOptions {
  readonly bundle: Bundle;
  readonly questions: readonly AskedExactly[];
  /** Ways to leave the loop besides the depths. */
  readonly rules: readonly ExitRule[];
  readonly threads: number;
  readonly onProgress?: (done: number, total: number, title: string) => void;
}

/** Questions decoded side by side. */
const TOGETHER = 32;

/** Positions of the longest of `questions`. @throws RondoError CONFIG_INVALID when the model's context has fewer */
export function longestQuestion({ directory, manifest }: Bundle, questions: readonly AskedExactly[]): number {
  const longest = Math.max(...questions.map(({ prompt, answer }) => prompt.length + answer.length + 1));
  const { context } = manifest.shape;
  if (longest <= context) return longest;
  throw new RondoError(
    'CONFIG_INVALID',
    `${directory}: a question takes ${longest} positions, the model has ${context}`,
  );
}

/**
 * Whether greedy decoding answers each question exactly, after every number of passes and under every rule. The tokens of the right
 * answer are given one by one: decoding would say the same ones for as long as each is the likeliest behind those before it.
 * @throws RondoError CONFIG_INVALID for a question that is longer than the model's context.
 */
export async function exactMatch(options: ExactOptions): Promise<ExactCell[]> {
  const { bundle, questions, rules, threads, onProgress } = options;
  const { maxDepth, pagePositions, layers } = bundle.manifest;
  const longest = longestQuestion(bundle, questions);
  // After each number of passes a coda has pages of its own.
  const tables = layers.coda > 0 ? maxDepth : 1;
  const together = Math.max(
    1,
    Math.min(TOGETHER, Math.floor(sequencesThatFit(bundle.manifest, longest) / tables)),
  );
  const pages = together * tables * Math.ceil(longest / pagePositions);
  const model = await Sequences.open(bundle, { threads, pages });
  const total = questions.length * (1 + rules.length);
  let done = 0;
  const stepped = (count: number, title: string) => {
    done += count;
    onProgress?.(done, total, title);
  };
  try {
    const cells: ExactCell[] = [];
    const exits = Array.from({ length: maxDepth }, (_, pass) => pass + 1);
    const byDepth = exits.map((): ExactAnswer[] => []);
    for (const question of questions) {
      const answers = await answeredByDepth(model, question, exits);
      answers.forEach((answer, at) => {
        byDepth[at]!.push(answer);
      });
      stepped(1, 'every depth');
    }
    exits.forEach((passes, at) => {
      cells.push({ exit: { kind: 'depth', passes }, answers: byDepth[at]! });
    });
    for (const rule of rules) {
      const { policy, threshold } = rule;
      const answers: ExactAnswer[] = [];
      for (let first = 0; first < questions.length; first += together) {
        const group = questions.slice(first, first + together);
        answers.push(...(await answeredByRule(model, group, rule)));
        stepped(group.length, `${policy} ${threshold}`);
      }
      cells.push({ exit: { kind: 'threshold', policy, threshold }, answers });
    }
    return cells;
  } finally {
    await model.close();
  }
}

/** All rows of question and answer leave after so many passes. */
async function answeredByDepth(
  model: Sequences,
  question: AskedExactly,
  exits: readonly number[],
): Promise<ExactAnswer[]> {
  const { prompt, answer } = question;
  const right = exits.map(() => true);
  const sequence = model.create();
  const append = { sequence, ids: [...prompt, ...answer], heads: answer.length + 1 };
  await appendRows(model, [append], exits, (_, first, heads, passes) => {
    heads.forEach(({ topId }, row) => {
      if (!isRight(question, first + row, topId)) right[exits.indexOf(passes)] = false;
    });
  });
  model.release(sequence);
  return exits.map((passes, at) => ({
    right: right[at]!,
    passes: Array<number>(answer.length + 1).fill(passes),
  }));
}

/** Rows of the prompt run every pass, those of the answer leave by `rule`. */
async function answeredByRule(
  model: Sequences,
  questions: readonly AskedExactly[],
  rule: ExitRule,
): Promise<ExactAnswer[]> {
  const { maxDepth } = model.bundle.manifest;
  const rows = questions.map((question) => ({
    ...question,
    sequence: model.create(),
    right: true,
    passes: [maxDepth],
  }));
  const prompts = rows.map(({ sequence, prompt }) => ({ sequence, ids: prompt, heads: 1 }));
  await appendRows(model, prompts, [maxDepth], (at, _, [head]) => {
    if (!isRight(rows[at]!, 0, head!.topId)) rows[at]!.right = false;
  });
  for (let token = 0; ; token++) {
    const going = rows.filter(({ answer }) => token < answer.length);
    if (going.length === 0) break;
    const decoded = await model.decode(
      going.map(({ sequence, answer }) => ({ sequence, id: answer[token]!, rule })),
    );
    decoded.forEach(({ head, passes }, at) => {
      const row = going[at]!;
      row.passes.push(passes);
      if (!isRight(row, token + 1, head.topId)) row.right = false;
    });
  }
  for (const { sequence } of rows) model.release(sequence);
  return rows.map(({ right, passes }) => ({ right, passes }));
}

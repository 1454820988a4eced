import { basename } from 'node:path';
import { type Bundle, openBundle } from '@rondo/bundle';
import { openText } from '@rondo/coordinator';
import { RondoError } from '@rondo/core';
import {
  type AskedExactly,
  type ExactQuestion,
  exactMatch,
  exactScore,
  exactText,
  longestQuestion,
  readExactQuestions,
} from '@rondo/lab';
import { answeredIds } from './answered-ids.ts';
import { type ExactExit, refuseUnserved } from './exact-exits.ts';
import { progressBar } from './progress.ts';
import { ResultFile } from './result-file.ts';

export interface ExactFlags {
  readonly b: readonly string[];
  readonly exact: string;
  readonly exits: readonly ExactExit[];
  readonly least?: number;
  readonly threads: number;
  readonly json?: string;
}

/** `rondo eval --exact`: questions that have one right answer, after every number of passes and at given exits. */
export async function evalExact(flags: ExactFlags, lines: string): Promise<void> {
  const questions = readExactQuestions(flags.exact, lines);
  const bundles: Bundle[] = [];
  for (const directory of flags.b) bundles.push(await openBundle(directory));
  for (const bundle of bundles) refuseUnserved(bundle, flags.exits);
  // Of all before any is asked: what one refuses would cost the others' answers.
  const works: [Bundle, AskedExactly[]][] = [];
  for (const bundle of bundles) {
    const asked = await asServed(bundle, questions);
    longestQuestion(bundle, asked);
    works.push([bundle, asked]);
  }
  await using json = await ResultFile.asked(flags.json);
  const reports = [];
  const shares: { readonly name: string; readonly right: number }[] = [];
  for (const [bundle, asked] of works) {
    const { maxDepth, exit, kvPolicy, precision } = bundle.manifest;
    const progress = progressBar('evaluating', 0);
    try {
      const rules = flags.exits.map((rule) => ({ ...rule, minDepth: exit.minDepth, maxDepth }));
      const cells = await exactMatch({
        bundle,
        questions: asked,
        rules,
        threads: flags.threads,
        onProgress: (done, total, title) => progress.update(done, total, title),
      });
      const scores = cells.map((cell) => exactScore(asked, cell));
      progress.stop();
      process.stdout.write(
        `${bundle.manifest.name}, ${precision}, ${questions.length} questions, kvPolicy ${kvPolicy}; percent answered exactly\n\n${exactText(scores)}\n`,
      );
      reports.push({
        name: bundle.manifest.name,
        directory: basename(bundle.directory),
        digest: bundle.digest,
        precision,
        kvPolicy,
        scores,
        passes: cells.map(({ answers }, at) => ({
          exit: scores[at]!.exit,
          tokens: answers.map(({ passes }) => passes),
          right: answers.map(({ right }) => right),
        })),
      });
      shares.push({ name: bundle.manifest.name, right: scores[maxDepth - 1]!.all });
    } finally {
      progress.stop();
    }
  }
  await json?.write(`${JSON.stringify({ questions: flags.exact, asked: questions, reports })}\n`);
  for (const { name, right } of shares) {
    if (flags.least === undefined || right >= flags.least) continue;
    throw new RondoError(
      'QUALITY_WORSE',
      `${name} answers ${(100 * right).toFixed(1)} % of ${flags.exact} exactly with all passes; --least ${flags.least} asks for ${100 * flags.least} %`,
    );
  }
}

/** Prompts as a chat with one message is served, answers up to any token that ends them. */
async function asServed(bundle: Bundle, questions: readonly ExactQuestion[]): Promise<AskedExactly[]> {
  const text = await openText(bundle);
  const ends = bundle.manifest.tokens.eos;
  if (!text?.chatTemplate || ends.length === 0) {
    throw new RondoError(
      'CONFIG_INVALID',
      `${bundle.directory}: --exact needs a tokenizer, a chat template and a token that ends an answer`,
    );
  }
  return questions.map(({ task, question, answer }) => {
    const prompt = text.chatTemplate!.render([{ role: 'user', content: question }], true);
    return { task, ...answeredIds(text, prompt, answer), ends };
  });
}

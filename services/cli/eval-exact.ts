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
  LIVE_POLICIES,
  type LivePolicy,
  readExactQuestions,
} from '@rondo/lab';
import { InvalidArgumentError } from 'commander';
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

/** A way of leaving the loop, `gate:0.5`. */
export interface ExactExit {
  readonly policy: LivePolicy;
  readonly threshold: number;
}

/** Parses `policy:threshold,…`. */
export function exactExits(value: string): ExactExit[] {
  return value.split(',').map((part) => {
    const [name, number] = part.split(':');
    const policy = LIVE_POLICIES.find((live) => live === name);
    const threshold = Number(number);
    if (policy && number && threshold > 0) return { policy, threshold };
    throw new InvalidArgumentError(
      `${part}: expected policy:threshold, of ${LIVE_POLICIES.join(', ')}, such as gate:0.5`,
    );
  });
}

/** `rondo eval --exact`: questions that have one right answer, after every number of passes and at given exits. */
export async function evalExact(flags: ExactFlags, lines: string): Promise<void> {
  const questions = readExactQuestions(flags.exact, lines);
  await using json = await ResultFile.asked(flags.json);
  const reports = [];
  const shares: { readonly name: string; readonly right: number }[] = [];
  for (const directory of flags.b) {
    const bundle = await openBundle(directory);
    const { maxDepth, exit, kvPolicy, precision } = bundle.manifest;
    const asked = await asServed(bundle, questions);
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
        directory: basename(directory),
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
    return { task, prompt: text.encode(prompt, false), answer: text.encode(answer, false), ends };
  });
}

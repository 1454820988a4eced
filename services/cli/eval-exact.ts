import { basename } from 'node:path';
import { type Bundle, openBundle } from '@rondo/bundle';
import { openText, type TextCodec } from '@rondo/coordinator';
import { RondoError, THRESHOLD_RANGES } from '@rondo/core';
import {
  type AskedExactly,
  type ExactQuestion,
  exactMatch,
  exactScore,
  exactText,
  LIVE_POLICIES,
  type LivePolicy,
  livePolicies,
  longestQuestion,
  readExactQuestions,
} from '@rondo/lab';
import { refuse } from './options.ts';
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

/** A way of leaving the loop, `latent-diff:0.1`. */
export interface ExactExit {
  readonly policy: LivePolicy;
  readonly threshold: number;
}

/** Parses `policy:threshold,…`, of thresholds above 0, after those that were given `earlier`. */
export const exactExits = (value: string, earlier: readonly ExactExit[] = []): ExactExit[] => [
  ...earlier,
  ...value.split(',').map((part) => {
    const [, name, number] = /^([a-z-]+):(\d*\.?\d+(?:e[+-]?\d+)?)$/.exec(part) ?? [];
    const policy = LIVE_POLICIES.find((live) => live === name);
    if (!policy) {
      return refuse(
        '--exits',
        part,
        `policy:threshold, of ${LIVE_POLICIES.join(', ')}, such as latent-diff:0.1`,
      );
    }
    const threshold = Number(number);
    const [range, highest] = THRESHOLD_RANGES[policy];
    return threshold > 0 && threshold <= highest
      ? { policy, threshold }
      : refuse('--exits', part, `${range}, and above 0`);
  }),
];

/**
 * @throws RondoError CONFIG_INVALID for a way by which no row of `bundle` would ever leave: it has no such signal, or always runs
 * every pass. A server takes a request that asks for the latter; here its figure would pass for what such an exit costs.
 */
function refuseUnserved({ directory, manifest }: Bundle, exits: readonly ExactExit[]): void {
  const { maxDepth, exit } = manifest;
  if (exits[0] && exit.minDepth >= maxDepth) {
    throw new RondoError(
      'CONFIG_INVALID',
      `--exits ${exits[0].policy}:${exits[0].threshold}: no token of ${directory} leaves before pass ${exit.minDepth}, its last: leave --exits out`,
    );
  }
  const able = livePolicies(manifest);
  const unable = exits.find(({ policy }) => !able.includes(policy));
  if (!unable) return;
  throw new RondoError(
    'CONFIG_INVALID',
    `--exits ${unable.policy}:${unable.threshold}: ${directory} has no ${unable.policy} signal: choose of ${able.join(', ')}`,
  );
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

/**
 * The ids of `prompt`, and those that spell `answer` behind them: what the whole has beyond the prompt, since a SentencePiece tokenizer
 * begins every text with a space. Where the two grow together the answer's own ids, if they spell it.
 * @throws RondoError CONFIG_INVALID for an answer that no ids spell behind this prompt.
 */
export function answeredIds(
  text: Pick<TextCodec, 'encode' | 'rawBytes'>,
  prompt: string,
  answer: string,
): Pick<AskedExactly, 'prompt' | 'answer'> {
  const [given, whole] = [text.encode(prompt, false), text.encode(prompt + answer, false)];
  if (given.every((id, at) => id === whole[at])) return { prompt: given, answer: whole.slice(given.length) };
  const alone = text.encode(answer, false);
  const spelt = Buffer.concat(alone.map((id) => text.rawBytes(id))).toString();
  if (spelt === answer) return { prompt: given, answer: alone };
  throw new RondoError(
    'CONFIG_INVALID',
    `--exact: the answer ${JSON.stringify(answer)} has no ids of its own behind the prompt's ${JSON.stringify(prompt.slice(-20))}: begin it otherwise`,
  );
}

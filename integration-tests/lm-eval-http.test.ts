import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import { openBundle } from '@rondo/bundle';
import { evaluate, openSuite, type Variant } from '@rondo/lab';
import { Cluster } from './cluster.ts';
import { TinyBundle } from './tiny-bundle.ts';

/** What `oracle/make_lm_eval_http.py` prints. */
interface Harness {
  readonly logLikelihoods: readonly (readonly number[])[];
  readonly acc: number;
  readonly accNorm: number;
  readonly texts: readonly number[];
  readonly bitsPerByte: number;
}

const HERE = new URL('./', import.meta.url).pathname;
const QUESTIONS = join(HERE, 'eval', 'tiny.jsonl');
/** As lm_eval 0.4.13 said of the same bundle over HTTP; `oracle/README.md` tells how to write it anew. */
const COMMITTED = join(HERE, 'fixtures', 'lm-eval-http.json');
/** Of a log likelihood, and of bits per byte: sums in f32 in another order. */
const TOLERANCE = 1e-5;
/** Each text is one window of so many tokens, so that both give each token all that is before it. */
const TOKENS = 40;
/** JSON lines of texts that the tiny tokenizer makes so many tokens of. */
const TEXTS = join(HERE, 'lm-eval', 'windows.jsonl');

let directory: string;
let tiny: TinyBundle;
let ours: Variant;
before(async () => {
  directory = await mkdtemp(join(tmpdir(), 'rondo-lm-eval-'));
  tiny = await TinyBundle.make(3);
  const names = readFileSync(TEXTS, 'utf8')
    .trim()
    .split('\n')
    .map((line, at) => {
      const name = join(directory, `${at}.txt`);
      writeFileSync(name, (JSON.parse(line) as { text: string }).text);
      return name;
    });
  const suite = join(directory, 'suite.yaml');
  writeFileSync(
    suite,
    `name: harness
version: 1
seed: 1
texts: [${names.join(', ')}]
windows: { positions: ${TOKENS + 1}, stride: ${TOKENS}, max: 1 }
greedy: { prompt: 8, tokens: 1, max: 1 }
questions: [${QUESTIONS}]
questionBos: as-tokenizer
exits: { windows: 1 }
bootstrap: { samples: 100, confidence: 0.95 }
`,
  );
  ours = (
    await evaluate({ a: await openBundle(tiny.directory), bs: [], suite: await openSuite(suite), threads: 1 })
  ).a;
});
after(async () => {
  await tiny[Symbol.asyncDispose]();
  await rm(directory, { recursive: true, force: true });
});

/** Holds what `rondo eval` said against what lm-evaluation-harness did, choice by choice and text by text. */
function compare({ logLikelihoods, acc, accNorm, texts, bitsPerByte }: Harness): void {
  const { windows, questions } = ours.cells.at(-1)!.scores;
  const near = (found: number, of: number, what: string) =>
    assert.ok(Math.abs(found - of) <= TOLERANCE * Math.abs(of), `${what}: ${found}, lm_eval ${of}`);
  assert.equal(questions.length, logLikelihoods.length);
  questions.forEach((answers, at) => {
    assert.equal(answers.logLikelihoods.length, logLikelihoods[at]!.length);
    answers.logLikelihoods.forEach((sum, choice) => {
      near(sum, logLikelihoods[at]![choice]!, `question ${at}, choice ${choice}`);
    });
  });
  const share = (right: readonly boolean[]) => right.filter(Boolean).length / right.length;
  near(share(questions.map(({ correct }) => correct)), acc, 'acc');
  near(share(questions.map(({ correctNorm }) => correctNorm)), accNorm, 'acc_norm');
  assert.equal(windows.length, texts.length);
  windows.forEach(({ nll, tokens }, at) => {
    assert.equal(tokens, TOKENS);
    near(-nll, texts[at]!, `text ${at}`);
  });
  const sum = (value: (window: (typeof windows)[number]) => number) =>
    windows.reduce((total, window) => total + value(window), 0);
  near(sum(({ nll }) => nll) / Math.LN2 / sum(({ bytes }) => bytes), bitsPerByte, 'bits per byte');
}

test('rondo eval says what lm-evaluation-harness said of the same bundle over HTTP when the fixture was made', () => {
  compare(JSON.parse(readFileSync(COMMITTED, 'utf8')) as Harness);
});

/** The Python on the path that knows lm_eval, if any does. */
const knowsHarness = await promisify(execFile)('python3', ['-c', 'import lm_eval'])
  .then(() => true)
  .catch(() => false);

test('and says so today', {
  skip: knowsHarness ? false : "no lm_eval: pip install 'lm_eval[api]', with its python3 first in PATH",
  timeout: 170_000,
}, async () => {
  await using cluster = await Cluster.start({ bundle: tiny.directory, workers: 2, placement: 'auto' });
  const script = join(HERE, 'oracle', 'make_lm_eval_http.py');
  const { stdout } = await promisify(execFile)('python3', [script, cluster.url, 'tiny', QUESTIONS, TEXTS]);
  compare(JSON.parse(stdout.trim().split('\n').at(-1)!) as Harness);
});

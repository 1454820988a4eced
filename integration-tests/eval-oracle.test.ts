import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { type Bundle, openBundle } from '@rondo/bundle';
import { convert, openCheckpoint } from '@rondo/converter';
import { evaluate, openSuite } from '@rondo/lab';
import { smollm2Bundle, smollm2Checkpoint } from './smollm2.ts';

interface Expected {
  readonly windows: readonly { readonly nll: number; readonly bytes: number }[];
  readonly questions: {
    readonly logLikelihoods: readonly (readonly number[])[];
    readonly acc: number;
    readonly accNorm: number;
  };
}

const HERE = new URL('./', import.meta.url).pathname;
const LAB = join(HERE, '..', 'services', 'lab');
const EXPECTED = JSON.parse(readFileSync(join(HERE, 'fixtures', 'eval.json'), 'utf8')) as {
  tiny: Expected;
  smollm2: Expected;
};

let directory: string;
before(async () => {
  directory = await mkdtemp(join(tmpdir(), 'rondo-eval-'));
});
after(() => rm(directory, { recursive: true, force: true }));

/** Holds the numbers of `bundle` against those of PyTorch, window by window, and of lm-evaluation-harness, choice by choice. */
async function compare(bundle: Bundle, suitePath: string, expected: Expected): Promise<void> {
  const { a } = await evaluate({ a: bundle, bs: [], suite: await openSuite(suitePath), threads: 2 });
  const { windows, questions } = a.cells.at(-1)!.scores;
  assert.equal(windows.length, expected.windows.length);
  windows.forEach(({ nll, bytes }, at) => {
    const of = expected.windows[at]!;
    assert.ok(Math.abs(nll - of.nll) < 1e-4 * of.nll, `window ${at}: ${nll}, expected ${of.nll}`);
    assert.equal(Math.round(bytes * 1e6) / 1e6, of.bytes);
  });
  const { logLikelihoods, acc, accNorm } = expected.questions;
  assert.equal(questions.length, logLikelihoods.length);
  questions.forEach((answers, at) => {
    answers.logLikelihoods.forEach((sum, choice) => {
      const of = logLikelihoods[at]![choice]!;
      assert.ok(
        Math.abs(sum - of) < 1e-4 * Math.abs(of) + 1e-3,
        `question ${at}, choice ${choice}: ${sum}, expected ${of}`,
      );
    });
  });
  const share = (right: (at: number) => boolean) =>
    questions.filter((_, at) => right(at)).length / questions.length;
  assert.ok(Math.abs(share((at) => questions[at]!.correct) - acc) < 1e-9);
  assert.ok(Math.abs(share((at) => questions[at]!.correctNorm) - accNorm) < 1e-9);
}

// Before the first test: while it is pulled, tests that are named already would run, and end, without those that follow.
const smollm2 = await smollm2Checkpoint();

test("the tiny Llama's windows and answers are those of PyTorch and lm-evaluation-harness", async () => {
  const checkpoint = await openCheckpoint(join(HERE, 'fixtures', 'tiny', 'llama-gqa', 'checkpoint'));
  const out = join(directory, 'plain');
  await convert({ checkpoint, out, precision: 'f32' });
  await checkpoint.close();
  await compare(await openBundle(out), join(HERE, 'eval', 'tiny.yaml'), EXPECTED.tiny);
});

describe('SmolLM2', { skip: 'unavailable' in smollm2 ? smollm2.unavailable : false }, () => {
  test('on the default suite its first windows and all its answers are theirs', async () => {
    const suites = join(LAB, 'eval', 'suites');
    const yaml = (await readFile(join(suites, 'default.yaml'), 'utf8'))
      .replace('../../texts/default.txt', join(LAB, 'texts', 'default.txt'))
      .replace('everyday.jsonl', join(suites, 'everyday.jsonl'))
      .replace('max: 32', 'max: 8')
      .replace('max: 16', 'max: 1');
    const path = join(directory, 'suite.yaml');
    await writeFile(path, yaml);
    await compare(await smollm2Bundle('path' in smollm2 ? smollm2.path : ''), path, EXPECTED.smollm2);
  });
});

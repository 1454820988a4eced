import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import {
  type Baseline,
  DEFAULT_TOLERANCES,
  judge,
  parseBaseline,
  parseTolerances,
  type Tolerances,
} from './gate.ts';
import type { EvalReport } from './report.ts';
import { parseSuite } from './suite.ts';
import type { WindowScore } from './window-scores.ts';

const settings = parseSuite(
  'default.yaml',
  await readFile(new URL('./suites/default.yaml', import.meta.url), 'utf8'),
);

/** Forty windows of ten tokens, whose loss differs from window to window and from model to model by `more`. */
function reportOf(more: (at: number) => number, right = 30): EvalReport {
  const windows = Array.from({ length: 40 }, (_, at): WindowScore => {
    const nll = 30 + 10 * Math.sin(at) + more(at);
    return { tokens: 10, bytes: 40, nll, agreed: 8, kl: 1, led: 3, passes: 20 };
  });
  const questions = Array.from({ length: 40 }, (_, at) => {
    return { logLikelihoods: [-1, -2], correct: at < right, correctNorm: true };
  });
  const cells = [{ exit: { kind: 'depth', passes: 2 }, scores: { windows, greedy: [], questions } }];
  const variant = { name: 'tiny', digest: 'aa', cells, maxDepth: 2 };
  const suite = { name: 'default', version: 1, digest: 'dd', tokens: 'tt' };
  return { schemaVersion: 1, suite, a: variant, bs: [variant] } as unknown as EvalReport;
}

const baseline = (): Baseline => parseBaseline('baseline.json', JSON.stringify(reportOf(() => 0)));
const gate = (report: EvalReport, tolerances = 'perplexity=1%,acc=0.02') =>
  judge({ ...report, a: reportOf(() => 0).a }, baseline(), parseTolerances(tolerances), settings);

test('a model that is the same passes, with no doubt left', () => {
  const judgements = gate(reportOf(() => 0));
  assert.deepEqual(
    judgements.map(({ metric }) => metric),
    ['perplexity', 'acc'],
  );
  for (const { passed, worse } of judgements) {
    assert.equal(passed, true);
    assert.deepEqual(worse, { value: 0, low: 0, high: 0 });
  }
});

test('a model that is worse beyond the bound fails in the metric at fault, and one that is better passes', () => {
  const [perplexity, acc] = gate(reportOf(() => 0.3));
  assert.deepEqual([perplexity!.passed, acc!.passed], [false, true]);
  assert.ok(perplexity!.worse.low > perplexity!.bound);
  const [still, fewer] = gate(reportOf(() => 0, 25));
  assert.deepEqual([still!.passed, fewer!.passed], [true, false]);
  const [better] = gate(reportOf(() => -0.3));
  assert.ok(better!.passed && better!.worse.high < 0);
});

test('a model whose mean is within the bound but could as well be beyond does not pass', () => {
  const [perplexity] = gate(reportOf((at) => (at % 2 === 0 ? 3 : -3)));
  assert.ok(perplexity!.worse.value < perplexity!.bound && perplexity!.worse.high > perplexity!.bound);
  assert.equal(perplexity!.passed, false);
});

test('one window does not pass, even of the same model: nothing tells how windows vary', () => {
  const [report, before] = [reportOf(() => 0), baseline()];
  for (const { bs } of [report, before]) {
    const { scores } = bs[0]!.cells[0]!;
    Object.assign(scores, { windows: scores.windows.slice(0, 1) });
  }
  const judgements = judge({ ...report, a: reportOf(() => 0).a }, before, parseTolerances('kl=1'), settings);
  assert.deepEqual(
    judgements.map(({ worse, passed }) => [worse, passed]),
    [[{ value: 0, low: -Infinity, high: Infinity }, false]],
  );
});

test('all passes are held against all passes, however many there are', () => {
  const looped = (all: number, first: number): EvalReport => {
    const [last, early] = [reportOf(() => all), reportOf(() => first)].map(
      ({ bs }) => bs[0]!.cells[0]!.scores,
    );
    const cells = [
      { exit: { kind: 'depth', passes: 1 }, scores: early },
      { exit: { kind: 'depth', passes: 4 }, scores: last },
    ];
    return { ...reportOf(() => 0), bs: [{ name: 'looped', maxDepth: 4, cells }] } as unknown as EvalReport;
  };
  const plain = baseline();
  const [unlooped] = plain.bs;
  unlooped!.maxDepth = 1;
  unlooped!.cells[0]!.exit = { kind: 'depth', passes: 1 };
  const judged = (report: EvalReport) => judge(report, plain, parseTolerances('perplexity=1%'), settings);
  assert.deepEqual(
    judged(looped(0.3, 0)).map(({ exit, passed }) => [exit, passed]),
    [['depth 4 (depth 1 in the baseline)', false]],
  );
  assert.deepEqual(
    judged(looped(0, 0.3)).map(({ passed }) => passed),
    [true],
  );
});

test('a changed suite, tokenizer or A is an error and no pass', () => {
  const changed = (change: object, pattern: RegExp) => {
    const report = { ...reportOf(() => 0), ...change };
    assert.throws(() => judge(report, baseline(), parseTolerances('kl=1'), settings), {
      code: 'CONFIG_INVALID',
      message: pattern,
    });
  };
  const { suite, bs } = reportOf(() => 0);
  changed({ suite: { ...suite, digest: 'd2' } }, /suite changed/);
  changed({ suite: { ...suite, tokens: 't2' } }, /tokenizer cuts/);
  changed({ suite: { ...suite, version: 2 } }, /another suite: default version 2 here, default version 1/);
  changed({ a: reportOf(() => 1).a }, /another A/);
  changed({ bs: [...bs, ...bs] }, /number of --b/);
  changed({ bs: [{ ...bs[0], cells: [] }] }, /depth 2, this one cannot/);
});

test('a gate that would judge nothing, or nothing of what was asked for by name, is an error and no pass', () => {
  const refused = (tolerances: Tolerances, pattern: RegExp, of = baseline()) =>
    assert.throws(
      () =>
        judge(
          reportOf(() => 0),
          of,
          tolerances,
          settings,
        ),
      {
        code: 'CONFIG_INVALID',
        message: pattern,
      },
    );
  // No greedy text in it, which divergence is of.
  refused(parseTolerances('divergence=1'), /no greedy to judge divergence by/);
  refused(parseTolerances('perplexity=1%,divergence=1'), /no greedy to judge divergence by/);
  const empty = baseline();
  for (const { scores } of empty.bs[0]!.cells) Object.assign(scores, { windows: [], questions: [] });
  refused(DEFAULT_TOLERANCES, /no windows, questions to judge perplexity, .*, accNorm by/, empty);
  const textsOnly = baseline();
  for (const { scores } of textsOnly.bs[0]!.cells) Object.assign(scores, { questions: [] });
  const judged = judge(
    reportOf(() => 0),
    textsOnly,
    DEFAULT_TOLERANCES,
    settings,
  );
  assert.deepEqual(
    judged.map(({ metric }) => metric),
    ['perplexity', 'bitsPerByte', 'agreement', 'kl'],
  );
});

test('tolerances and baselines that are malformed are refused', () => {
  assert.deepEqual(parseTolerances('kl=0.5,perplexity=2%'), {
    kl: { amount: 0.5, relative: false },
    perplexity: { amount: 0.02, relative: true },
  });
  for (const text of ['', 'kl', 'kl=-1', 'speed=1', 'kl=1%%']) {
    assert.throws(() => parseTolerances(text), { code: 'CONFIG_INVALID', message: /--tolerance/ });
  }
  assert.throws(() => parseBaseline('b.json', '{'), { message: /b\.json: not JSON/ });
  assert.throws(() => parseBaseline('b.json', '{"schemaVersion": 1}'), { message: /b\.json: suite/ });
});

test('tolerances that are given one after another are all judged, and none of them twice', () => {
  const [kl, acc] = [
    { amount: 0.01, relative: false },
    { amount: 0.02, relative: false },
  ];
  assert.deepEqual(parseTolerances('acc=0.02', parseTolerances('kl=0.01')), { kl, acc });
  for (const again of [() => parseTolerances('kl=0.01,kl=5'), () => parseTolerances('kl=5', { kl })]) {
    assert.throws(again, {
      code: 'CONFIG_INVALID',
      message: /^--tolerance kl=5: kl has a tolerance already/,
    });
  }
});

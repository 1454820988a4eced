import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { before, describe, test } from 'node:test';
import { promisify } from 'node:util';
import { openBundle } from '@rondo/bundle';
import { RondoError } from '@rondo/core';
import {
  type EvalReport,
  type EvalSuite,
  type EvaluationOptions,
  evalReport,
  evalText,
  evaluate,
  htmlPage,
  openSuite,
  RondoProcess,
  type Variant,
} from '@rondo/lab';
import { TinyBundle } from './tiny-bundle.ts';

const HERE = new URL('./', import.meta.url).pathname;
const SUITE = join(HERE, 'eval', 'tiny.yaml');
const RONDO = join(HERE, '..', 'rondo');
const CHECKPOINT = join(HERE, 'fixtures', 'tiny', 'llama-gqa', 'checkpoint');
const BASELINE = join(HERE, 'fixtures', 'eval-baseline.json');

describe('a tiny model beside itself and beside one of fewer passes', () => {
  let suite: EvalSuite;
  let report: EvalReport;
  let cells: Variant['cells'];
  before(async () => {
    await using three = await TinyBundle.make(3);
    await using two = await TinyBundle.make(2);
    const [a, b] = [await openBundle(three.directory), await openBundle(two.directory)];
    suite = await openSuite(SUITE);
    const evaluation = await evaluate({ a, bs: [a, b], suite, threads: 1 });
    [{ cells }] = evaluation.bs as [Variant, ...Variant[]];
    report = await evalReport(evaluation, suite);
  });

  test('with all passes it agrees with itself everywhere and differs by nothing', () => {
    const same = report.differences.filter(
      ({ b, exit }) => b === 0 && exit.kind === 'depth' && exit.passes === 3,
    );
    const of = (metric: string) => same.find((difference) => difference.metric === metric)!;
    assert.deepEqual(of('agreement').ofB, 1);
    assert.deepEqual(of('kl').ofB, 0);
    assert.deepEqual(of('divergence').ofB, suite.settings.greedy.tokens);
    for (const { difference } of same) assert.deepEqual(difference, { value: 0, low: 0, high: 0 });
  });

  test('with fewer passes it does not', () => {
    for (const passes of [1, 2]) {
      const { difference } = report.differences.find(
        ({ b, exit, metric }) =>
          b === 0 && metric === 'kl' && exit.kind === 'depth' && exit.passes === passes,
      )!;
      assert.ok(
        difference.low > 0 && difference.low <= difference.value && difference.value <= difference.high,
      );
    }
  });

  test('with exits that never come, rows decoded one by one tell what whole windows tell', () => {
    const scores = (policy: string, threshold: number) =>
      cells.find(
        ({ exit }) => exit.kind === 'threshold' && exit.policy === policy && exit.threshold === threshold,
      )!.scores;
    const [never, full] = [
      scores('confidence', 0.9),
      cells.find(({ exit }) => exit.kind === 'depth' && exit.passes === 3)!.scores,
    ];
    for (const units of ['windows', 'greedy'] as const) {
      assert.ok(never[units].length > 0);
      never[units].forEach((score, at) => {
        const { nll, agreed, led, tokens, bytes, passes } = full[units][at]!;
        assert.ok(Math.abs(score.nll - nll) < 1e-4 * nll && score.kl < 1e-4);
        const { agreed: a, led: l, tokens: t, bytes: b, passes: p } = score;
        assert.deepEqual([a, l, t, b, p], [agreed, led, tokens, bytes, passes]);
      });
    }
    never.questions.forEach(({ logLikelihoods }, at) => {
      logLikelihoods.forEach((sum, choice) => {
        assert.ok(Math.abs(sum - full.questions[at]!.logLikelihoods[choice]!) < 1e-3);
      });
    });
  });

  test('the more passes a measured threshold is to save, the fewer are spent, close to what was asked', () => {
    for (const policy of ['latent-diff', 'confidence']) {
      const of = cells.filter(
        ({ exit }) => exit.kind === 'threshold' && exit.policy === policy && exit.saving !== undefined,
      );
      assert.deepEqual(
        of.map(({ exit }) => exit.kind === 'threshold' && exit.saving),
        [0.25, 0.75],
      );
      for (const { exit, scores } of of) {
        const sum = (value: (window: (typeof scores.windows)[number]) => number) =>
          scores.windows.reduce((total, window) => total + value(window), 0);
        // The prompt's last row, one of each window, runs every pass; others at least one of three.
        const saved =
          sum(({ passes, tokens }) => 3 * tokens - passes) / sum(({ tokens }) => 2 * (tokens - 1));
        const asked = exit.kind === 'threshold' ? exit.saving! : Number.NaN;
        assert.ok(Math.abs(saved - asked) < 0.15, `${policy}: ${saved} saved, ${asked} asked`);
      }
    }
  });

  test('with exits that always come, every decoded row spends one pass, and is another for it', () => {
    const { scores } = cells.find(
      ({ exit }) => exit.kind === 'threshold' && exit.policy === 'latent-diff' && exit.threshold === 100,
    )!;
    // The first scored row is the prompt's last.
    for (const { passes, tokens } of scores.windows) assert.equal(passes, 3 + (tokens - 1));
    assert.ok(scores.windows.every(({ kl }) => kl > 1e-3));
  });
});

/** A model with one way of running besides all passes, whose server is told of each way before that is measured. */
async function speedOfTwoWays(onWay: (server: RondoProcess, way: number) => void): Promise<Variant> {
  await using three = await TinyBundle.make(3);
  const suite = await openSuite(SUITE);
  const exits = { ...suite.settings.exits, 'latent-diff': [100], confidence: [], saving: [] };
  let server: RondoProcess | undefined;
  const { a } = await evaluate({
    a: await openBundle(three.directory),
    bs: [],
    suite: { ...suite, settings: { ...suite.settings, exits } },
    threads: 1,
    launch: async (...args) => {
      server = await RondoProcess.start(RONDO, args);
      return server;
    },
    onProgress: (done) => server && onWay(server, done),
  });
  return a;
}

test('the speed of a model is that of a server which answers, in each way of running that was asked for', async () => {
  const a = await speedOfTwoWays(() => {});
  const { memoryMiB, firstTokenMs, aloneTokensPerS, together } = a.speed!;
  assert.ok(memoryMiB > 10 && firstTokenMs > 0 && aloneTokensPerS > 0);
  assert.deepEqual(
    together.map(({ exit }) => exit),
    [
      { kind: 'depth', passes: 3 },
      { kind: 'threshold', policy: 'latent-diff', threshold: 100 },
    ],
  );
  for (const { tokensPerS } of together) assert.ok(tokensPerS > 0);
});

test('a server that is lost on the way costs no speed that was measured before', async () => {
  const { speed, speedFault } = await speedOfTwoWays((server, way) => {
    if (way === 2) server.kill('SIGKILL');
  });
  assert.deepEqual(
    speed!.together.map(({ exit }) => exit),
    [{ kind: 'depth', passes: 3 }],
  );
  assert.ok(speed!.memoryMiB > 10 && speed!.aloneTokensPerS > 0 && speed!.together[0]!.tokensPerS > 0);
  assert.match(speedFault!, /a request for its speed failed/);
});

test('A beside itself has room for its windows, what is given of them and every rule', async () => {
  await using two = await TinyBundle.make(2);
  const suite = await openSuite(SUITE);
  const windows = { positions: 64, stride: 63, max: 16 };
  const exits = { ...suite.settings.exits, windows: 16, confidence: [], saving: [] };
  const settings = {
    ...suite.settings,
    windows,
    exits: { ...exits, 'latent-diff': [0.1, 0.2, 0.3, 0.4, 0.5] },
  };
  const { a } = await evaluate({
    a: await openBundle(two.directory),
    bs: [],
    suite: { ...suite, questions: [], settings },
    threads: 1,
  });
  assert.equal(a.cells.length, 2 + 5);
});

test('a B with fewer ids than A is refused: KL from A would be no number', async () => {
  await using two = await TinyBundle.make(2);
  const a = await openBundle(two.directory);
  const { shape } = a.manifest;
  const b = { ...a, manifest: { ...a.manifest, shape: { ...shape, vocab: shape.vocab - 1 } } };
  await assert.rejects(evaluate({ a, bs: [b], suite: await openSuite(SUITE), threads: 1 }), {
    code: 'CONFIG_INVALID',
    message: new RegExp(`bundle: has logits of ${shape.vocab - 1} ids, A of ${shape.vocab}`),
  });
});

/** Quality at every depth of `TinyBundle`s of three passes, then a speed that ends as `launch` does. */
async function withoutSpeed(
  launch: () => Promise<never>,
  more: Pick<EvaluationOptions, 'signal' | 'onSpeedFault'> = {},
) {
  await using three = await TinyBundle.make(3);
  const suite = await openSuite(SUITE);
  const windows = { ...suite.settings.windows, max: 2 };
  const exits = { ...suite.settings.exits, 'latent-diff': [], confidence: [], saving: [] };
  const few = { ...suite, questions: [], settings: { ...suite.settings, windows, exits } };
  const bundle = await openBundle(three.directory);
  const evaluation = await evaluate({ a: bundle, bs: [bundle], suite: few, threads: 1, launch, ...more });
  return evalReport(evaluation, few);
}

test('a speed that cannot be measured costs nothing but itself, and every report says why in one line', async () => {
  const fault = new RondoError('ENGINE_FAILED', 'no free port:\nall that the server wrote');
  const told: unknown[] = [];
  const report = await withoutSpeed(() => Promise.reject(fault), {
    onSpeedFault: ({ speedFault }, error) => told.push([speedFault, error]),
  });
  assert.deepEqual(told, Array(2).fill([fault.message, fault]));
  for (const { cells, speed, speedFault } of [report.a, ...report.bs]) {
    assert.deepEqual([cells.length, speed, speedFault], [3, undefined, 'no free port']);
  }
  assert.match(evalText(report), /^speed of B1 tiny was not measured: no free port$/m);
  assert.match(await htmlPage(report), /<p>speed of A bundle was not measured: no free port<\/p>/);
});

test('a run that is stopped while it measures speeds keeps the quality that it has found', async () => {
  const stop = new AbortController();
  const report = await withoutSpeed(
    () => {
      stop.abort(new RondoError('CANCELLED', 'eval was stopped'));
      return Promise.reject(new Error('broken off'));
    },
    { signal: stop.signal },
  );
  for (const { cells, speedFault } of [report.a, ...report.bs]) {
    assert.deepEqual([cells.length, speedFault], [3, 'eval was stopped']);
  }
});

test('Ctrl-C while speeds are measured ends with 1, after the table and a whole report', async () => {
  await using three = await TinyBundle.make(3);
  const out = join(three.directory, '..', 'report.json');
  const args = ['eval', '--a', three.directory, '--b', three.directory, '--suite', SUITE, '--json', out];
  const child = spawn(RONDO, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  let [stdout, stderr] = ['', ''];
  child.stdout.on('data', (data: Buffer) => {
    stdout += data.toString();
  });
  child.stderr.on('data', (data: Buffer) => {
    const [before, now] = [stderr, stderr + data.toString()];
    // Told before anything of it is measured, however slow that is.
    if (now.includes('speed of A') && !before.includes('speed of A')) child.kill('SIGINT');
    stderr = now;
  });
  const [code] = await once(child, 'close');
  assert.equal(code, 1, stderr);
  assert.match(stdout, /B − A with all passes[\s\S]*speed of B1 tiny was not measured: eval was stopped/);
  assert.match(stderr, /rondo: eval was stopped\n$/);
  const report: EvalReport = JSON.parse(readFileSync(out, 'utf8'));
  assert.deepEqual([report.a.speedFault, report.bs.length], ['eval was stopped', 1]);
});

describe('rondo eval --gate against the baseline of make eval', () => {
  const gate = (bundle: string, ...more: string[]) =>
    promisify(execFile)(RONDO, [
      ...['eval', '--no-speed', '--a', CHECKPOINT, '--b', bundle, '--suite', SUITE, '--gate', BASELINE],
      ...more,
    ]).then(
      ({ stdout }) => ({ code: 0, stdout, stderr: '' }),
      ({ code, stdout, stderr }: { code: number; stdout: string; stderr: string }) => ({
        code,
        stdout,
        stderr,
      }),
    );

  test('the model that the baseline was made of passes', async () => {
    await using same = await TinyBundle.make(3, undefined, 0.3333);
    const page = join(same.directory, '..', 'page.html');
    const { code, stdout } = await gate(same.directory, '--html', page);
    assert.match(stdout, /gate passed/);
    const html = readFileSync(page, 'utf8');
    assert.equal(html.match(/<svg/g)?.length, 3);
    assert.match(html, /<title>B1 [^<]* latent-diff saving 0\.25: [^<]*perplexity/);
    // Nothing is fetched from elsewhere.
    assert.doesNotMatch(html, /(src|href)="/);
    assert.equal(code, 0);
  });

  test('a worse one ends with 1 and names the metric, its interval and its bound', async () => {
    await using undamped = await TinyBundle.make(3, undefined, 1);
    const { code, stderr } = await gate(undamped.directory, '--tolerance', 'kl=0.01');
    assert.equal(code, 1);
    assert.match(
      stderr,
      /kl at depth 3: \S+, baseline \S+: worse by \S+, between \S+ and \S+, at most 0\.0100 allowed/,
    );
  });

  test('another suite is an error', async () => {
    await using same = await TinyBundle.make(3, undefined, 0.3333);
    const folder = join(same.directory, '..');
    const yaml = readFileSync(SUITE, 'utf8')
      .replace('../../services', join(HERE, '..', 'services'))
      .replace('tiny.jsonl', join(HERE, 'eval', 'tiny.jsonl'))
      .replace('max: 12', 'max: 11');
    writeFileSync(join(folder, 'suite.yaml'), yaml);
    const { code, stderr } = await gate(same.directory, '--suite', join(folder, 'suite.yaml'));
    assert.equal(code, 1);
    assert.match(stderr, /--gate: settings, texts or questions of the suite changed/);
  });

  test('another tokenizer is an error: beside A, and beside the baseline', async () => {
    await using same = await TinyBundle.make(3, undefined, 0.3333);
    const folder = join(same.directory, '..');
    const [checkpoint, other] = [join(folder, 'checkpoint'), join(folder, 'other')];
    cpSync(CHECKPOINT, checkpoint, { recursive: true });
    const tokenizer = JSON.parse(readFileSync(join(checkpoint, 'tokenizer.json'), 'utf8'));
    tokenizer.model.merges.splice(30);
    writeFileSync(join(checkpoint, 'tokenizer.json'), JSON.stringify(tokenizer));
    const looped = ['--loop-layers', '1-2', '--loops', '3', '--loop-damping', '0.3333'];
    await promisify(execFile)(RONDO, ['convert', checkpoint, '--out', other, ...looped]);
    const besideA = await gate(other);
    assert.equal(besideA.code, 1);
    assert.match(besideA.stderr, /its tokenizer cuts the suite's texts differently from A's/);
    const plain = join(folder, 'plain');
    await promisify(execFile)(RONDO, ['convert', checkpoint, '--out', plain]);
    const { code, stderr } = await gate(other, '--a', plain);
    assert.equal(code, 1);
    assert.match(stderr, /--gate: the tokenizer cuts the suite differently/);
  });

  test('a tokenizer that is none is named with its file', async () => {
    await using same = await TinyBundle.make(3);
    const folder = join(same.directory, '..');
    const [checkpoint, other] = [join(folder, 'checkpoint'), join(folder, 'other')];
    cpSync(CHECKPOINT, checkpoint, { recursive: true });
    writeFileSync(join(checkpoint, 'tokenizer.json'), '{}');
    await promisify(execFile)(RONDO, ['convert', checkpoint, '--out', other]);
    const { code, stderr } = await gate(other);
    assert.equal(code, 1);
    assert.match(stderr, /other\/tokenizer\.json: cannot be read as part of a tokenizer/);
    assert.doesNotMatch(stderr, /defect/);
  });

  test('what would fail after the long work is told before it', async () => {
    await using same = await TinyBundle.make(3);
    const html = join(same.directory, 'nowhere', 'page.html');
    const unwritable = await gate(same.directory, '--html', html);
    assert.equal(unwritable.code, 1);
    assert.match(unwritable.stderr, /page\.html: cannot be written/);
    const unnamed = await gate(same.directory, '--gate', '');
    assert.equal(unnamed.code, 1);
    assert.match(unnamed.stderr, /^rondo: --gate : cannot be read/m);
    const two = await gate(same.directory, '--b', same.directory);
    assert.equal(two.code, 1);
    assert.match(two.stderr, /number of --b: 2 here, 1 in the baseline/);
    const [own, link] = [join(same.directory, 'own.json'), join(same.directory, 'link.json')];
    cpSync(BASELINE, own);
    symlinkSync(own, link);
    const over = await gate(same.directory, '--gate', own, '--json', link);
    assert.equal(over.code, 1);
    assert.match(over.stderr, /^rondo: --json \S+link\.json: the file of --gate/m);
    assert.equal(readFileSync(own, 'utf8'), readFileSync(BASELINE, 'utf8'));
    const page = join(same.directory, 'page');
    const both = await gate(same.directory, '--json', page, '--html', `${same.directory}/./page`);
    assert.equal(both.code, 1);
    assert.match(both.stderr, /^rondo: --html \S+page: the file of --json/m);
    for (const { stderr } of [both, unwritable, unnamed, two, over]) assert.doesNotMatch(stderr, / % of /);
  });
});

test('an option that would do nothing is refused by its name: a gate that judges nothing is green', async () => {
  await using bundle = await TinyBundle.make(2);
  const refused = async (option: RegExp, ...args: string[]) => {
    const command = promisify(execFile)(RONDO, ['eval', '--b', bundle.directory, ...args]);
    await assert.rejects(command, { code: 1, stdout: '', stderr: option }, args.join(' '));
  };
  const questions = join(HERE, '..', 'models', 'built-in.jsonl');
  for (const [name, ...value] of [
    ['--a', bundle.directory],
    ['--suite', SUITE],
    ['--precision', 'int8'],
    ['--no-speed'],
    ['--html', join(bundle.directory, 'page.html')],
    ['--gate', BASELINE],
    ['--tolerance', 'acc=0.1'],
  ] as const) {
    const both = new RegExp(`^rondo: option '--exact <file>' cannot be used with option '${name}[ ']`);
    await refused(both, '--exact', questions, name, ...value);
  }
  await refused(/^rondo: --least: only with --exact/, '--a', bundle.directory, '--least', '0.98');
  await refused(/^rondo: --exits: only with --exact/, '--a', bundle.directory, '--exits', 'gate:0.5');
  const precision = /^rondo: --precision int8: \S+bundle is a bundle, whose weights stay as they are/m;
  await refused(precision, '--a', bundle.directory, '--precision', 'int8');
  await refused(/^rondo: --tolerance: only with --gate/, '--a', bundle.directory, '--tolerance', 'acc=0.1');
});

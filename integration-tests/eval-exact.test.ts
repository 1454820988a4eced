import assert from 'node:assert/strict';
import { cp, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { type Bundle, type Manifest, openBundle } from '@rondo/bundle';
import { convert, openCheckpoint } from '@rondo/converter';
import { type AskedExactly, exactMatch, exactScore, readExactQuestions } from '@rondo/lab';
import { logitsOf } from './logits.ts';
import { RondoProcess } from './rondo-process.ts';

const CHECKPOINT = new URL('./fixtures/tiny/llama-gqa/checkpoint', import.meta.url).pathname;
const BUILT_IN = new URL('../models/built-in', import.meta.url).pathname;
const DEPTHS = 3;
const PROMPT = [5, 42, 7, 91, 12];

let directory: string;
let bundle: Bundle;
let greedy: number[];
before(async () => {
  directory = await mkdtemp(join(tmpdir(), 'rondo-exact-'));
  const checkpoint = await openCheckpoint(CHECKPOINT);
  const loop = { loopLayers: { first: 1, last: 2 }, loops: DEPTHS, damping: 0.5 };
  const out = join(directory, 'looped');
  await convert({ checkpoint, out, precision: 'f32', ...loop });
  await checkpoint.close();
  bundle = await openBundle(out);
  greedy = [];
  for (let token = 0; token < 5; token++) {
    const logits = (await logitsOf(bundle, [...PROMPT, ...greedy])).slice(-bundle.manifest.shape.vocab);
    greedy.push(logits.indexOf(Math.max(...logits)));
  }
});
after(() => rm(directory, { recursive: true, force: true }));

const another = (id: number): number => (id + 1) % bundle.manifest.shape.vocab;

test('an answer is right when greedy decoding says all of it, by depth and by rule', async () => {
  const [answer, end] = [greedy.slice(0, -1), greedy.at(-1)!];
  const questions: AskedExactly[] = [
    { task: 'greedy', prompt: PROMPT, answer, ends: [end] },
    { task: 'one of two ends', prompt: PROMPT, answer, ends: [another(end), end] },
    { task: 'another end', prompt: PROMPT, answer, ends: [another(end)] },
    {
      task: 'another beginning',
      prompt: PROMPT,
      answer: [another(answer[0]!), ...answer.slice(1)],
      ends: [end],
    },
  ];
  const never = { policy: 'latent-diff', threshold: 1e-9, minDepth: 1, maxDepth: DEPTHS } as const;
  const atOnce = { ...never, threshold: 1e9 };
  const cells = await exactMatch({ bundle, questions, rules: [never, atOnce], threads: 1 });
  const scores = cells.map((cell) => exactScore(questions, cell));
  assert.deepEqual(
    scores.map(({ exit, meanPasses }) => [exit, meanPasses]),
    [
      ['depth 1', 1],
      ['depth 2', 2],
      ['depth 3', 3],
      ['latent-diff 1e-9', 3],
      // A prompt's last row runs every pass, so the first token costs three and four cost one.
      ['latent-diff 1000000000', 7 / 5],
    ],
  );
  for (const at of [2, 3]) {
    const byTask = { 'another beginning': 0, 'another end': 0, greedy: 1, 'one of two ends': 1 };
    assert.deepEqual(scores[at]!.byTask, byTask);
    assert.equal(scores[at]!.all, 1 / 2);
  }
});

test('a question longer than the context, and a line that is none, are refused', async () => {
  const long = Array<number>(bundle.manifest.shape.context).fill(7);
  const questions = [{ task: 'long', prompt: long, answer: [], ends: [1] }];
  await assert.rejects(exactMatch({ bundle, questions, rules: [], threads: 1 }), {
    code: 'CONFIG_INVALID',
    message: /a question takes \d+ positions, the model has \d+/,
  });
  const refused = (lines: string, message: RegExp) =>
    assert.throws(() => readExactQuestions('q.jsonl', lines), { code: 'CONFIG_INVALID', message });
  refused('\n{"task": "sum", "question": "1 + 1"}\n', /q\.jsonl:2: answer: /);
  refused('{', /q\.jsonl:1: not JSON/);
  refused('\n', /q\.jsonl: no question in it/);
});

async function changeManifest(of: string, change: (manifest: Manifest) => unknown): Promise<void> {
  const path = join(of, 'bundle.json');
  const manifest = JSON.parse(await readFile(path, 'utf8'));
  change(manifest);
  await writeFile(path, JSON.stringify(manifest));
}

/** What `rondo eval --exact` says of two questions, the second of which has no such answer, to the built-in model. */
const evalTwo = (...options: string[]) => evalTwoOf(BUILT_IN, ...options);

async function evalTwoOf(model: string, ...options: string[]) {
  const lines = (await readFile(`${BUILT_IN}.jsonl`, 'utf8')).split('\n', 1);
  lines.push(JSON.stringify({ task: 'none', question: 'How much is 1 + 1?', answer: 'It is a fish.' }));
  const file = join(directory, 'two.jsonl');
  await writeFile(file, lines.join('\n'));
  return RondoProcess.run('eval', '--exact', file, '--b', model, ...options);
}

test('too few right answers end the command with 1, after its table and a whole report', async () => {
  const out = join(directory, 'exact.json');
  const { code, stdout, stderr } = await evalTwo('--json', out, '--least', '0.6');
  assert.equal(code, 1);
  assert.match(
    stderr,
    /rondo-small-numbers answers 50\.0 % of .*two\.jsonl exactly with all passes; --least 0\.6/,
  );
  assert.match(stdout, /rondo-small-numbers, int8, 2 questions/);
  const { asked, reports } = JSON.parse(await readFile(out, 'utf8'));
  assert.deepEqual([asked.length, reports.length, reports[0].scores[2].all], [2, 1, 0.5]);
  assert.equal((await readdir(directory)).filter((name) => name.includes('partial')).length, 0);
});

test('a policy whose signal a bundle does not put out is refused before any question is asked', async () => {
  const exits = ['--exits', 'latent-diff:0.1,gate:0.5'];
  const { code, stdout, stderr } = await evalTwo('--b', bundle.directory, ...exits);
  assert.deepEqual([code, stdout], [1, '']);
  assert.match(
    stderr,
    /^rondo: --exits gate:0\.5: \S+looped has no gate signal: choose of latent-diff, confidence$/m,
  );
});

test('exits of a bundle that always runs every pass are refused: all passes would pass for what they cost', async () => {
  const copy = join(directory, 'every-pass');
  await cp(BUILT_IN, copy, { recursive: true });
  await changeManifest(copy, ({ exit, maxDepth }) => Object.assign(exit, { minDepth: maxDepth }));
  const { code, stdout, stderr } = await evalTwoOf(copy, '--exits', 'gate:0.5');
  assert.deepEqual([code, stdout], [1, '']);
  assert.match(
    stderr,
    /^rondo: --exits gate:0\.5: no token of \S+every-pass leaves before pass 3, its last: leave --exits out$/m,
  );
});

test('what one bundle cannot be asked is told before another is asked anything', async () => {
  const [untold, short] = [join(directory, 'untold'), join(directory, 'short')];
  for (const copy of [untold, short]) await cp(BUILT_IN, copy, { recursive: true });
  await changeManifest(untold, (manifest) => manifest.tokens.eos.splice(0));
  await changeManifest(short, ({ shape }) => Object.assign(shape, { context: 16 }));
  for (const [model, message] of [
    [untold, /untold: --exact needs a tokenizer, a chat template and a token that ends an answer/],
    [short, /short: a question takes \d+ positions, the model has 16/],
  ] as const) {
    const { code, stdout, stderr } = await evalTwo('--b', model);
    assert.deepEqual([code, stdout], [1, '']);
    assert.match(stderr, message);
  }
});

test('any token that ends an answer when served ends it here', async () => {
  const copy = join(directory, 'two-ends');
  await cp(BUILT_IN, copy, { recursive: true });
  await changeManifest(copy, ({ shape, tokens }) => {
    const unused = shape.vocab - 1;
    assert.ok(!tokens.eos.includes(unused));
    tokens.eos.unshift(unused);
  });
  const { code, stderr } = await evalTwoOf(copy, '--least', '0.5');
  assert.equal(code, 0, stderr);
});

test('a report does not replace its questions', async () => {
  const { code, stdout, stderr } = await evalTwo('--json', join(directory, 'two.jsonl'));
  assert.deepEqual([code, stdout], [1, '']);
  assert.match(stderr, /^rondo: --json \S+two\.jsonl: the file of --exact/m);
});

test('a report that cannot be written is told before the questions are asked', async () => {
  const { code, stdout, stderr } = await evalTwo('--json', join(directory, 'nowhere', 'exact.json'));
  assert.deepEqual([code, stdout], [1, '']);
  assert.match(stderr, /exact\.json: cannot be written/);
});

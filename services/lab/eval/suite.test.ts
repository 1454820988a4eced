import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { openSuite, parseSuite } from './suite.ts';

const DEFAULT = new URL('./suites/default.yaml', import.meta.url).pathname;
const YAML = await readFile(DEFAULT, 'utf8');

let directory: string;
before(async () => {
  directory = await mkdtemp(join(tmpdir(), 'rondo-suite-'));
});
after(() => rm(directory, { recursive: true }));

const lineOf = (text: string, part: string): number => text.slice(0, text.indexOf(part)).split('\n').length;

const refused = (text: string, line: number, reason: RegExp) =>
  assert.throws(
    () => parseSuite('suite.yaml', text),
    (error: Error & { code: string }) => {
      assert.equal(error.code, 'CONFIG_INVALID');
      assert.ok(error.message.startsWith(`suite.yaml:${line}: `), error.message);
      assert.match(error.message, reason);
      return true;
    },
  );

test('the default suite opens, and all that it names is there', async () => {
  const { settings, texts, questions } = await openSuite(DEFAULT);
  assert.deepEqual([texts.length, questions.length], [settings.texts.length, settings.questions.length]);
});

test('an unknown key is refused with the line that it is in', () => {
  const text = YAML.replace('greedy: {', 'gredy: {');
  refused(`${YAML}\nwindow: 3\n`, YAML.split('\n').length + 1, /window/);
  refused(YAML.replace('stride: 128,', 'stride: 128, strides: 2,'), lineOf(YAML, 'stride: 128'), /strides/);
  refused(text, lineOf(text, 'gredy'), /"gredy"/);
});

test('a value of the wrong kind is refused with its line', () => {
  refused(YAML.replace('samples: 2000', 'samples: many'), lineOf(YAML, 'samples:'), /samples/);
  refused(YAML.replace('stride: 128', 'stride: 256'), lineOf(YAML, 'windows:'), /stride must be below/);
  const SHARES = '[0.1, 0.3, 0.5, 0.7, 0.9]';
  refused(YAML.replace(SHARES, '[0.7, 0.5]'), lineOf(YAML, 'saving: ['), /rising/);
  refused(YAML.replace(SHARES, '[0.5, 1]'), lineOf(YAML, 'saving: ['), /shares below 1/);
  refused(YAML.replace('seed: 1', 'seed: [1'), lineOf(YAML, 'texts:'), /Flow sequence/);
});

test('a threshold that no signal can reach is refused with its line', () => {
  const withExits = (exits: string) => YAML.replace('exits:\n', `exits:\n  ${exits}\n`);
  for (const policy of ['gate', 'confidence']) {
    const text = withExits(`${policy}: [0.5, 90]`);
    refused(text, lineOf(text, `${policy}: [0.5, 90]`), /expected a (cumulative )?probability from 0 to 1/);
  }
  const { exits } = parseSuite('suite.yaml', withExits('confidence: [1]\n  latent-diff: [90]'));
  assert.deepEqual([exits.confidence, exits['latent-diff']], [[1], [90]]);
});

test('what is no suite at all is refused, and so are aliases without end', () => {
  refused('', 1, /expected object/);
  refused('- 1', 1, /expected object/);
  const names = ['a', 'b', 'c', 'd', 'e', 'f'];
  const bomb = names.map((name, at) => {
    const of = at === 0 ? 'x' : `*${names[at - 1]}`;
    return `${name}: &${name} [${Array.from({ length: 8 }, () => of).join(', ')}]`;
  });
  refused(bomb.join('\n'), 1, /alias/);
});

test('a file that is missing is named', async () => {
  const path = join(directory, 'suite.yaml');
  await writeFile(
    path,
    YAML.replace(/texts: .*/, 'texts: [nowhere.txt]').replace(/questions: .*/, 'questions: []'),
  );
  await assert.rejects(openSuite(path), { code: 'CONFIG_INVALID', message: /nowhere\.txt: cannot be read/ });
});

test('the digest changes with a setting and with a text, and with nothing else', async () => {
  const path = join(directory, 'suite.yaml');
  const yaml = YAML.replace(/texts: .*/, 'texts: [a.txt]').replace(/questions: .*/, 'questions: []');
  const digest = async (text: string, suite: string) => {
    await writeFile(join(directory, 'a.txt'), text);
    await writeFile(path, suite);
    return (await openSuite(path)).digest;
  };
  const first = await digest('one', yaml);
  assert.equal(await digest('one', `# another comment\n${yaml}`), first);
  assert.notEqual(await digest('two', yaml), first);
  assert.notEqual(await digest('one', yaml.replace('version: 2', 'version: 3')), first);
});

import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { BatchCluster, completionLine, type OutputLine } from './batch-cluster.ts';
import { NATS_MISSING } from './nats-server.ts';
import { RondoProcess } from './rondo-process.ts';

const linesOf = async (file: string): Promise<OutputLine[]> =>
  (await readFile(file, 'utf8'))
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as OutputLine);

describe('rondo batch', { skip: NATS_MISSING }, () => {
  let cluster: BatchCluster;
  let directory: string;
  let keyFile: string;
  before(async () => {
    directory = await mkdtemp(join(tmpdir(), 'rondo-batch-'));
    const keys = join(directory, 'keys.txt');
    const { stdout } = await RondoProcess.run('key', 'new', '--name', 'alice', '--file', keys);
    keyFile = await file('key', stdout);
    cluster = await BatchCluster.start({ workers: 1, coordinators: 1, options: ['--api-keys', keys] });
  });
  after(async () => {
    await cluster[Symbol.asyncDispose]();
    await rm(directory, { recursive: true });
  });

  const file = async (name: string, text: string): Promise<string> => {
    await writeFile(join(directory, name), text);
    return join(directory, name);
  };
  const input = (name: string, lines: readonly unknown[]) =>
    file(name, lines.map((line) => (typeof line === 'string' ? line : JSON.stringify(line))).join('\n'));
  const batch = (...args: string[]) =>
    RondoProcess.run('batch', ...args, '--url', cluster.url(0), '--key-file', keyFile);

  test('submits a file, shows how far it is and writes answers and failures', async () => {
    const names = Array.from({ length: 20 }, (_, index) => `n${index}`);
    const lines = [...names.map((name) => completionLine(name)), completionLine('hot', { temperature: 9 })];
    const out = join(directory, 'answers.jsonl');
    const submitted = await batch(
      ...['submit', await input('lines.jsonl', lines), '--endpoint', '/v1/completions', '--out', out],
    );
    assert.equal(submitted.code, 0, submitted.stderr);
    assert.match(submitted.stdout, /^batch_\w+\n$/);
    assert.match(submitted.stderr, /lines\.jsonl: 21 lines/);
    assert.match(submitted.stderr, /100 % of 21, \w+, 1 failed\n/);
    assert.deepEqual(
      (await linesOf(out)).map(({ custom_id }) => custom_id),
      names,
    );
    const [failed, ...rest] = await linesOf(join(directory, 'answers.errors.jsonl'));
    assert.deepEqual([failed!.custom_id, failed!.response!.status_code, rest], ['hot', 400, []]);

    const id = submitted.stdout.trim();
    const { stdout: status } = await batch('status', id);
    assert.match(status, new RegExp(`^${id} {2}completed {4}21 of 21 lines, 1 failed`));
    const fetched = await batch('results', id);
    assert.equal(fetched.stdout, await readFile(out, 'utf8'));
    assert.match(
      fetched.stderr,
      new RegExp(`lines without an answer: 1;.*rondo batch results ${id} --errors`),
    );
    assert.match((await batch('list', '--limit', '1')).stdout, new RegExp(`^${id}`));
    const { request_counts } = JSON.parse((await batch('status', id, '--json')).stdout);
    assert.deepEqual(request_counts, { total: 21, completed: 20, failed: 1 });
    const late = await batch('cancel', id);
    assert.equal(late.code, 1);
    assert.match(late.stderr, /is completed: there is nothing to cancel/);
  });

  test('cancels a batch, and fetches its results only once it is over', async () => {
    const lines = Array.from({ length: 300 }, (_, index) => completionLine(`${index}`, { max_tokens: 200 }));
    const { stdout } = await batch(
      ...['submit', await input('long.jsonl', lines), '--endpoint', '/v1/completions'],
    );
    const id = stdout.trim();
    const early = await batch('results', id);
    assert.equal(early.code, 1);
    assert.match(early.stderr, new RegExp(`rondo batch status ${id} --wait`));
    assert.match((await batch('cancel', id)).stdout, / {2}cancelling /);
    const over = await batch('status', id, '--wait');
    assert.equal(over.code, 1, 'a script takes it for done');
    assert.match(over.stderr, new RegExp(`${id} is cancelled`));
    assert.match((await batch('status', id)).stdout, /cancelled {4}300 of 300 lines/);
  });

  test('a file that is wrong is not sent: its faults are told with their lines', async () => {
    const bad = await input('bad.jsonl', [
      completionLine('a'),
      '{"custom_id": "b", ',
      completionLine('a'),
      { ...completionLine('c'), url: '/v1/chat/completions' },
    ]);
    const { code, stdout, stderr } = await batch('submit', bad, '--endpoint', '/v1/completions');
    assert.deepEqual([code, stdout], [1, '']);
    assert.match(stderr, /bad\.jsonl:2: the line is not valid JSON/);
    assert.match(stderr, /bad\.jsonl:3: custom_id: the one of line 1 again/);
    assert.match(stderr, /bad\.jsonl:4: url: expected '\/v1\/completions'/);
    assert.match(stderr, /nothing was sent; mend the file or give another --endpoint/);
    for (const [name, why] of [
      ['missing.jsonl', /missing\.jsonl: ENOENT/],
      ['.', /: EISDIR/],
    ] as const) {
      assert.match((await batch('submit', join(directory, name))).stderr, why);
    }
  });

  test('who may not, and where nobody listens, is told with the remedy', async () => {
    const url = ['--url', cluster.url(0)];
    const keyless = await RondoProcess.run('batch', 'list', ...url);
    assert.equal(keyless.code, 1);
    assert.match(keyless.stderr, /answers 401.*--key-file or RONDO_API_KEY/);
    const nobody = await RondoProcess.run('batch', 'list', '--url', 'http://127.0.0.1:1');
    assert.match(nobody.stderr, /^rondo: --url http:\/\/127\.0\.0\.1:1 cannot be reached: .*listening there/);
    const unknown = await batch('status', 'batch_nope');
    assert.match(unknown.stderr, /there is no batch 'batch_nope'/);
    const typo = await RondoProcess.run('batch', 'submit', 'x', '--outt', 'y');
    assert.match(typo.stderr, /^rondo: unknown option '--outt'.*\(see rondo batch submit --help\)/s);
    const help = await RondoProcess.run('batch', 'submit', '--help');
    assert.match(help.stdout, /custom_id.*Examples:/s);
  });
});

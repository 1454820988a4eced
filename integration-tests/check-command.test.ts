import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { RondoProcess } from './rondo-process.ts';
import { TinyBundle } from './tiny-bundle.ts';

let bundle: TinyBundle;
before(async () => {
  bundle = await TinyBundle.make(2);
});
after(() => bundle[Symbol.asyncDispose]());

/** A coordinator over one worker whose admin port is told. */
async function cluster(stack: AsyncDisposableStack): Promise<{ url: string; admin: string }> {
  const worker = await RondoProcess.start(
    ...['worker', '--model', bundle.directory, '--listen', '127.0.0.1:0', '--kv-mb', '16', '--threads', '1'],
    ...['--admin', '127.0.0.1:0'],
  );
  stack.use(worker);
  const coordinator = await RondoProcess.start(
    ...['coordinator', '--model', `tiny=${bundle.directory}`, '--worker', worker.ready],
    ...['--listen', '127.0.0.1:0'],
  );
  stack.use(coordinator);
  const admin = /"url":"http:\/\/([^"]+)"[^\n]*admin port listens/.exec(worker.errors)?.[1];
  return { url: coordinator.ready, admin: admin! };
}

test('rondo check ends well once every worker has run passes, and says for how many completions', async () => {
  await using stack = new AsyncDisposableStack();
  const { url, admin } = await cluster(stack);
  const told = await RondoProcess.run('check', '--url', url, '--model', 'tiny', '--workers', admin);
  assert.deepEqual([told.code, told.stderr], [0, '']);
  assert.equal(told.stdout, `ok: 1 workers of ${admin} ran passes for 4 completions\n`);
});

test('rondo check fails with the address of a worker that no request reaches', async () => {
  await using stack = new AsyncDisposableStack();
  const { url } = await cluster(stack);
  const { admin: idle } = await cluster(stack);
  const told = await RondoProcess.run('check', '--url', url, '--model', 'tiny', '--workers', idle);
  assert.equal(told.code, 1);
  assert.match(told.stderr, new RegExp(`^rondo: ${idle}: no pass ran there for tiny`));
});

test('rondo check fails with what the coordinator answers to a name it does not serve', async () => {
  await using stack = new AsyncDisposableStack();
  const { url, admin } = await cluster(stack);
  const told = await RondoProcess.run('check', '--url', url, '--model', 'other', '--workers', admin);
  assert.equal(told.code, 1);
  assert.match(told.stderr, /answers 404: .*other/);
});

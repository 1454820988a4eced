import assert from 'node:assert/strict';
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { test } from 'node:test';
import { Lifecycle } from './lifecycle.ts';
import { createLog } from './log.ts';

const quiet = createLog('test', { level: 'silent' });

test('parts stop in reverse order, one after another, and once', async () => {
  const order: string[] = [];
  const lifecycle = new Lifecycle(quiet);
  const part = (name: string) =>
    lifecycle.onStop(name, async () => {
      order.push(`${name} stops`);
      await new Promise((resolve) => setImmediate(resolve));
      order.push(`${name} stopped`);
    });
  part('engine');
  part('server');
  assert.deepEqual(await Promise.all([lifecycle.stop(), lifecycle.stop()]), [true, true]);
  assert.deepEqual(order, ['server stops', 'server stopped', 'engine stops', 'engine stopped']);
});

test('a part that fails to stop is told and does not keep the others from stopping', async () => {
  const lines: string[] = [];
  const lifecycle = new Lifecycle(
    createLog('test', { level: 'error', to: { write: (line) => void lines.push(line) } }),
  );
  let stopped = false;
  lifecycle.onStop('engine', () => {
    stopped = true;
  });
  lifecycle.onStop('server', () => {
    throw new Error('stuck');
  });
  assert.equal(await lifecycle.stop(), false);
  assert.equal(stopped, true);
  assert.match(lines.join(''), /"part":"server".*stuck/);
});

test('what starts while all else stops is stopped too', async () => {
  const lifecycle = new Lifecycle(quiet);
  await lifecycle.stop();
  let stopped = false;
  lifecycle.onStop('late', () => {
    stopped = true;
  });
  assert.equal(await lifecycle.stop(), true);
  assert.equal(stopped, true);
});

/** A process that owns a lifecycle, runs `body`, and is alive once it has printed `ready`. */
async function startProcess(body: string): Promise<{ child: ChildProcess; output: string[]; log: string[] }> {
  const index = new URL('./index.ts', import.meta.url).href;
  const script = `
    import { createLog, Lifecycle } from ${JSON.stringify(index)};
    const lifecycle = new Lifecycle(createLog('test'));
    const alive = setInterval(() => {}, 1000);
    lifecycle.ownProcess();
    ${body}
    console.log('ready');`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const output: string[] = [];
  const log: string[] = [];
  child.stderr.on('data', (bytes) => log.push(String(bytes)));
  const lines = createInterface(child.stdout);
  lines.on('line', (line) => output.push(line));
  await once(lines, 'line');
  return { child, output, log };
}

for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  test(`${signal} stops every part and ends the process with 0`, async () => {
    const { child, output } = await startProcess(
      `lifecycle.onStop('engine', () => console.log('engine')); lifecycle.onStop('server', async () => console.log('server'));`,
    );
    child.kill(signal);
    assert.deepEqual(await once(child, 'close'), [0, null]);
    assert.deepEqual(output, ['ready', 'server', 'engine']);
  });
}

test('a part that failed to stop ends the process with 1', async () => {
  const { child } = await startProcess(`lifecycle.onStop('engine', () => { throw new Error('stuck'); });`);
  child.kill('SIGTERM');
  assert.deepEqual(await once(child, 'close'), [1, null]);
});

test('a second signal ends a process that does not come to its end', async () => {
  const { child, output } = await startProcess(
    `lifecycle.onStop('engine', () => { console.log('stopping'); return new Promise(() => {}); });`,
  );
  child.kill('SIGINT');
  while (!output.includes('stopping')) await once(child.stdout!, 'data');
  child.kill('SIGINT');
  assert.deepEqual(await once(child, 'close'), [1, null]);
});

test('a second signal kills a process with a thread that does not come back from native code', async (t) => {
  const directory = await mkdtemp(join(tmpdir(), 'rondo-lifecycle-'));
  t.after(() => rm(directory, { recursive: true }));
  const pipe = join(directory, 'nobody-writes');
  execFileSync('mkfifo', [pipe]);
  const thread = `
    import { openSync } from 'node:fs';
    import { parentPort } from 'node:worker_threads';
    parentPort.postMessage('opens');
    openSync('${pipe}');`;
  const { child, output } = await startProcess(`
    const { Worker } = await import('node:worker_threads');
    const thread = new Worker(${JSON.stringify(thread)}, { eval: true });
    await new Promise((opens) => thread.once('message', opens));
    lifecycle.mayBeInNative(() => true);
    lifecycle.onStop('engine', () => { console.log('stopping'); return new Promise(() => {}); });`);
  child.kill('SIGTERM');
  while (!output.includes('stopping')) await once(child.stdout!, 'data');
  child.kill('SIGTERM');
  assert.deepEqual(await once(child, 'close'), [null, 'SIGKILL']);
});

for (const [kind, body] of [
  ['an uncaught error', `setImmediate(() => { throw new Error('boom'); });`],
  ['an unhandled rejection', `setImmediate(() => Promise.reject(new Error('boom')));`],
] as const) {
  test(`${kind} is logged and ends the process with 1`, async () => {
    const { child, log } = await startProcess(body);
    assert.deepEqual(await once(child, 'close'), [1, null]);
    assert.match(log.join(''), /"level":"fatal".*boom/);
  });
}

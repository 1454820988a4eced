import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { createLog, Metrics } from '@rondo/chassis';
import { address, type RondoError } from '@rondo/core';
import { type CoordinatorOptions, startCoordinator } from './coordinator.ts';
import type { Model } from './model.ts';
import { Models } from './models.ts';
import { tinyBundle } from './test-bundle.ts';
import { connectTo, ScriptedWorker } from './test-worker.ts';

const [DIGEST_A, DIGEST_B] = ['a'.repeat(64), 'b'.repeat(64)];
const models = [
  { name: 'a', bundle: { ...(await tinyBundle()), digest: DIGEST_A } },
  { name: 'b', bundle: { ...(await tinyBundle()), digest: DIGEST_B } },
];

const holder = (id: string, digest: string, letter: string): ScriptedWorker =>
  new ScriptedWorker({
    id,
    describe: { bundleDigest: digest },
    reply: () => [letter.charCodeAt(0)],
  });

const options = (workers: Record<string, ScriptedWorker>): CoordinatorOptions => ({
  models,
  workers: Object.keys(workers).map(address),
  listen: address('127.0.0.1:0'),
  placement: 'homed',
  log: createLog('test', { level: 'silent' }),
  metrics: new Metrics(),
  connect: connectTo(workers),
  connectMs: 60_000,
  drainMs: 0,
});

async function start(context: TestContext, workers: Record<string, ScriptedWorker>) {
  const running = await startCoordinator(options(workers));
  context.after(() => running.stop());
  const ask = async (model: string) => {
    const response = await fetch(`${running.url}/v1/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ model, prompt: 'x', max_tokens: 2 }),
    });
    // biome-ignore lint/suspicious/noExplicitAny: the tests say what they expect in it
    return { status: response.status, body: (await response.json()) as any };
  };
  // biome-ignore lint/suspicious/noExplicitAny: the tests say what they expect in it
  const get = async (path: string) => (await (await fetch(running.url + path)).json()) as any;
  return { ask, get };
}

test('each model is served by the workers that hold it, in whatever order they are given', async (context) => {
  const workers = {
    'one:1': holder('one', DIGEST_B, 'B'),
    'two:1': holder('two', DIGEST_A, 'A'),
    'three:1': holder('three', DIGEST_B, 'B'),
  };
  const { ask, get } = await start(context, workers);
  for (const [model, text] of [
    ['a', 'AA'],
    ['b', 'BB'],
  ] as const) {
    const { status, body } = await ask(model);
    assert.equal(status, 200);
    assert.equal(body.model, model);
    assert.equal(body.choices[0].text, text);
  }
  assert.deepEqual(
    (await get('/v1/models')).data.map(({ id }: { id: string }) => id),
    ['a', 'b'],
  );
  assert.equal((await get('/v1/models/b')).id, 'b');
  const { workers: seen, models: served } = await get('/health');
  assert.deepEqual(served, { a: 'ok', b: 'ok' });
  assert.deepEqual(seen.map(({ id, model }: { id: string; model: string }) => `${id} ${model}`).sort(), [
    'one b',
    'three b',
    'two a',
  ]);
});

test('a model that is not served is told from those that are', async (context) => {
  const { ask } = await start(context, { 'one:1': holder('one', DIGEST_A, 'A') });
  const { status, body } = await ask('c');
  assert.equal(status, 404);
  assert.equal(body.error.code, 'model_not_found');
  assert.equal(body.error.param, 'model');
  assert.match(body.error.message, /'c'.*'a', 'b'/);
});

test('a worker that comes back with another bundle serves that one', async (context) => {
  const workers = { 'one:1': holder('one', DIGEST_A, 'A'), 'two:1': holder('two', DIGEST_A, 'A') };
  const { ask, get } = await start(context, workers);
  assert.deepEqual((await get('/health')).models, { a: 'ok', b: 'unavailable' });
  const worker = workers['one:1'];
  const describe = worker.describe.bind(worker);
  worker.describe = async () => ({ ...(await describe()), bundleDigest: DIGEST_B });
  worker.setAway(true);
  const lost = ({ status }: { status: string }) => status === 'unreachable';
  while (!(await get('/health')).workers.some(lost));
  worker.setAway(false);
  while ((await get('/health')).models.b !== 'ok');
  assert.equal((await ask('b')).status, 200);
  assert.equal((await ask('a')).status, 200);
});

test('models that cannot be told apart, and workers of none, end the start', async () => {
  const worker = { 'one:1': holder('one', DIGEST_A, 'A') };
  const [a, b] = models as [(typeof models)[number], (typeof models)[number]];
  const wrong: [CoordinatorOptions['models'], RegExp][] = [
    [[a, { ...b, name: 'a' }], /two models are named 'a'/],
    [[a, { ...a, name: 'c' }], /'a' and 'c' are the same bundle/],
    [[], /--model/],
    [Array.from({ length: 17 }, () => a), /at most 16/],
  ];
  for (const [given, message] of wrong) {
    await assert.rejects(startCoordinator({ ...options(worker), models: given }), (error: RondoError) => {
      assert.equal(error.code, 'CONFIG_INVALID');
      assert.match(error.message, message);
      return true;
    });
  }
  const stranger = { 'one:1': holder('one', 'c'.repeat(64), 'C') };
  await assert.rejects(startCoordinator(options(stranger)), { code: 'BUNDLE_MISMATCH' });
});

test('a user without a name leaves the split to what OpenAI replaced it by, and to sessions', () => {
  const all = ['a', 'b'].map((name) => ({ name, servedAs: () => ({}) }) as unknown as Model);
  const variants = [
    { model: 'a', weight: 1 },
    { model: 'b', weight: 1 },
  ];
  const served = new Models(all, [{ name: 'chat', variants }]);
  const variantOf = (fields: object, session?: string): string =>
    served.serve({ model: 'chat', ...fields }, { session, request: 'r' }).model.name;
  for (let n = 0; n < 32; n++) {
    const name = `u${n}`;
    assert.equal(variantOf({ user: '', safety_identifier: name }), variantOf({ user: name }));
    assert.equal(variantOf({ user: '', safety_identifier: '' }, name), variantOf({}, name));
  }
});

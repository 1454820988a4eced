import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { createLog, Metrics } from '@rondo/chassis';
import { address, LIMITS } from '@rondo/core';
import { type CoordinatorOptions, startCoordinator } from './coordinator.ts';
import { firstDifference } from './shadows.ts';
import { tinyBundle } from './test-bundle.ts';
import { keepingTelemetry } from './test-telemetry.ts';
import { connectTo, type Script, ScriptedWorker } from './test-worker.ts';
import { variantOf } from './variant-policy.ts';

const DIGESTS = ['a'.repeat(64), 'b'.repeat(64)] as const;
const bytes = (text: string): number[] => [...Buffer.from(text)];
const models = [
  { name: 'orig', bundle: { ...(await tinyBundle()), digest: DIGESTS[0] } },
  { name: 'looped', bundle: { ...(await tinyBundle()), digest: DIGESTS[1] } },
];
const split = {
  name: 'chat',
  variants: [
    { model: 'orig', weight: 9 },
    { model: 'looped', weight: 1 },
  ],
};
/** Whatever orig answers looped runs, too. */
const ALL_TWICE = { splits: [], shadows: [{ of: 'orig', model: 'looped', share: 1 }] };

const start = async (
  context: TestContext,
  spread: CoordinatorOptions['spread'],
  looped: Script = {},
  telemetry?: CoordinatorOptions['telemetry'],
) => {
  const workers = {
    'a:1': new ScriptedWorker({
      id: 'a',
      describe: { bundleDigest: DIGESTS[0] },
      reply: () => bytes('hello'),
    }),
    'b:1': new ScriptedWorker({
      id: 'b',
      describe: { bundleDigest: DIGESTS[1] },
      reply: () => bytes('help!'),
      ...looped,
    }),
  };
  const metrics = new Metrics();
  const running = await startCoordinator({
    models,
    spread,
    workers: Object.keys(workers).map(address),
    listen: address('127.0.0.1:0'),
    placement: 'homed',
    log: createLog('test', { level: 'silent' }),
    metrics,
    telemetry,
    connect: connectTo(workers),
    drainMs: 0,
  });
  context.after(() => running.stop());
  const ask = async (body: object, headers: Record<string, string> = {}) => {
    const response = await fetch(`${running.url}/v1/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...headers },
      body: JSON.stringify({ prompt: 'x', max_tokens: 5, temperature: 0, ...body }),
    });
    const text = await response.text();
    return { status: response.status, variant: response.headers.get('x-rondo-variant'), text };
  };
  /** Waits until the metrics hold `line`; the test's own limit bounds it. */
  const until = async (line: string) => {
    for (;;) {
      const page = await metrics.render();
      if (page.includes(`${line}\n`)) return page;
      await new Promise((resolve) => setImmediate(resolve));
    }
  };
  return { workers, metrics, running, ask, until };
};

/** Why each shadow was cancelled, by its span. */
const causesOf = (spans: Awaited<ReturnType<ReturnType<typeof keepingTelemetry>['spans']>>) =>
  spans
    .filter(({ name }) => name.startsWith('shadow '))
    .map(({ events }) => events.find(({ name }) => name === 'cancelled')?.attributes?.['rondo.cause']);

test('a split name answers under that name, says the variant, and keeps a user and a session there', async (context) => {
  const { ask, metrics, running } = await start(context, { splits: [split], shadows: [] });
  const expected = (key: string) => variantOf(split, key);
  for (let index = 0; index < 30; index++) {
    const user = `user-${index}`;
    const byUser = await ask({ model: 'chat', user }, { 'x-rondo-session': `other-${index}` });
    assert.equal(byUser.variant, expected(`user ${user}`));
    assert.equal(JSON.parse(byUser.text).model, 'chat');
    assert.equal(JSON.parse(byUser.text).choices[0].text, byUser.variant === 'orig' ? 'hello' : 'help!');
    const bySession = await ask({ model: 'chat', stream: true }, { 'x-rondo-session': `s-${index}` });
    assert.equal(bySession.variant, expected(`session s-${index}`));
    const byRequest = await ask({ model: 'chat' }, { 'x-request-id': `r-${index}` });
    assert.equal(byRequest.variant, expected(`request r-${index}`));
  }
  assert.equal((await ask({ model: 'looped' })).variant, 'looped', 'a variant can be asked for by itself');
  const list = await (await fetch(`${running.url}/v1/models`)).json();
  assert.deepEqual(
    (list as { data: { id: string }[] }).data.map(({ id }) => id),
    ['orig', 'looped', 'chat'],
  );
  const page = await metrics.render();
  const counts = [...page.matchAll(/rondo_model_requests_total\{asked="chat",model="\w+"\} (\d+)/g)];
  assert.equal(
    counts.reduce((sum, [, count]) => sum + Number(count), 0),
    90,
  );
});

test('a shadow is run and compared, and its metrics are apart', async (context) => {
  const { ask, until, workers } = await start(context, ALL_TWICE);
  assert.equal(JSON.parse((await ask({ model: 'orig' })).text).choices[0].text, 'hello');
  const page = await until('rondo_shadow_requests_total{asked="orig",model="looped",outcome="completed"} 1');
  for (const line of [
    'rondo_shadow_compared_total{asked="orig",model="looped",tokens="different"} 1',
    // 'hel' is the same.
    'rondo_shadow_difference_tokens_sum{asked="orig",model="looped"} 3',
    'rondo_shadow_generated_tokens_total{model="looped"} 5',
    'rondo_shadow_sequences_ended_total{reason="length",model="looped"} 1',
    'rondo_shadow_passes_total{kind="generated",model="looped"} 16',
    'rondo_generated_tokens_total{model="orig"} 5',
    'rondo_shadow_sequence_seconds_count{model="looped"} 1',
  ]) {
    assert.ok(page.includes(`${line}\n`), line);
  }
  assert.doesNotMatch(
    page,
    /rondo_generated_tokens_total\{model="looped"\} [1-9]/,
    'what looped answered itself',
  );
  assert.equal(workers['b:1'].held, 0);
  await ask({ model: 'orig', stream: true, temperature: 1 });
  const after = await until('rondo_shadow_requests_total{asked="orig",model="looped",outcome="completed"} 2');
  assert.ok(after.includes('tokens="different"} 1\n'), 'sampled answers are not compared');
});

test('a shadow of a traced request is a trace that is linked to it', async (context) => {
  const { telemetry, spans } = keepingTelemetry({ sample: 1 });
  const { ask, until } = await start(context, ALL_TWICE, {}, telemetry);
  await ask({ model: 'orig' }, { 'x-request-id': 'mine' });
  await until('rondo_shadow_requests_total{asked="orig",model="looped",outcome="completed"} 1');
  const exported = await spans();
  const request = exported.find(({ name }) => name === 'text_completion orig')!;
  const shadow = exported.find(({ name }) => name === 'shadow orig')!;
  assert.notEqual(shadow.spanContext().traceId, request.spanContext().traceId);
  assert.equal(shadow.links[0]!.context.spanId, request.spanContext().spanId);
  assert.deepEqual(
    [shadow.attributes['rondo.shadow_of'], shadow.attributes['rondo.workers']],
    ['mine', ['b']],
  );
  assert.deepEqual(shadow.attributes['gen_ai.response.finish_reasons'], ['length']);
});

test('whatever goes wrong with a shadow, the answer does not hear of it', async (context) => {
  const scripts: [string, Script][] = [
    ['refused', { positions: 9, heldByOthers: 4 }],
    // Its memory is the bound of its context.
    ['failed', { positions: 3 }],
    ['dropped-memory-full', { heldByOthers: 500 }],
  ];
  for (const [outcome, script] of scripts) {
    const { ask, until } = await start(context, ALL_TWICE, script);
    const { status, variant } = await ask({ model: 'orig' });
    assert.deepEqual([status, variant], [200, 'orig']);
    await until(`rondo_shadow_requests_total{asked="orig",model="looped",outcome="${outcome}"} 1`);
  }
});

test('a model without workers is answered 503 in the end while its twin serves, and its shadows are dropped', async (context) => {
  const { ask, until, workers, running } = await start(context, ALL_TWICE);
  workers['b:1'].setAway(true);
  const lost = async () =>
    ((await (await fetch(`${running.url}/health`)).json()) as { models: { looped: string } }).models.looped;
  while ((await lost()) === 'ok');
  assert.equal((await ask({ model: 'orig' })).status, 200);
  await until('rondo_shadow_requests_total{asked="orig",model="looped",outcome="dropped-memory-full"} 1');
  const refused = await ask({ model: 'looped' });
  assert.equal(refused.status, 503);
  assert.match(refused.text, /no_worker/);
});

test('a shadow gives way to whoever waits for its room', async (context) => {
  const { telemetry, spans } = keepingTelemetry({ sample: 1 });
  const script = { positions: 20, silentAfter: 2 };
  const { ask, until, workers } = await start(context, ALL_TWICE, script, telemetry);
  await ask({ model: 'orig' });
  await workers['b:1'].opens(1);
  const { status } = await ask({
    model: 'looped',
    prompt: Array.from({ length: 16 }, () => 97),
    max_tokens: 2,
  });
  assert.equal(status, 200);
  await until('rondo_shadow_requests_total{asked="orig",model="looped",outcome="gave-way"} 1');
  assert.deepEqual(causesOf(await spans()), ['gave-way']);
});

test('shadows are no more than so many, and end with the coordinator', async (context) => {
  const { telemetry, spans } = keepingTelemetry({ sample: 1 });
  const script = { positions: 200, silentAfter: 2 };
  const { ask, until, workers, running } = await start(context, ALL_TWICE, script, telemetry);
  for (let count = 1; count <= LIMITS.shadowsMax; count++) {
    await ask({ model: 'orig' });
    await workers['b:1'].opens(count);
  }
  await ask({ model: 'orig' });
  await until('rondo_shadow_requests_total{asked="orig",model="looped",outcome="dropped-shadows-full"} 1');
  await running.stop();
  await workers['b:1'].cancels(LIMITS.shadowsMax);
  const line = `rondo_shadow_requests_total{asked="orig",model="looped",outcome="cut-off"} ${LIMITS.shadowsMax}`;
  await until(line);
  const causes = causesOf(await spans());
  assert.deepEqual(
    causes,
    Array.from({ length: LIMITS.shadowsMax }, () => 'coordinator-stops'),
  );
});

test('the first difference is the first token that is not shared', () => {
  assert.equal(firstDifference([], []), undefined);
  assert.equal(firstDifference([1, 2], [1, 2]), undefined);
  assert.equal(firstDifference([1, 2], [1, 3]), 1);
  assert.equal(firstDifference([1, 2], [1, 2, 3]), 2);
  assert.equal(firstDifference([1], []), 0);
});

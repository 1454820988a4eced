import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Scrape } from '@rondo/lab';
import { RondoProcess } from './rondo-process.ts';
import { TinyBundle } from './tiny-bundle.ts';

const startWorker = (bundle: TinyBundle) =>
  RondoProcess.start(
    ...['worker', '--model', bundle.directory, '--listen', '127.0.0.1:0', '--threads', '1', '--kv-mb', '64'],
  );

interface Answer {
  readonly variant: string | null;
  readonly model: string;
  readonly passes: number;
}

test('two bundles behind one name: each user stays with one, its workers answer, and a shadow runs on the other', {
  timeout: 120_000,
}, async () => {
  await using deep = await TinyBundle.make(3);
  await using shallow = await TinyBundle.make(2);
  await using one = await startWorker(shallow);
  await using two = await startWorker(deep);
  await using coordinator = await RondoProcess.start(
    ...['coordinator', '--model', `deep=${deep.directory}`, '--model', `shallow=${shallow.directory}`],
    ...['--route', 'chat=deep:1,shallow:1', '--shadow', 'chat=shallow:100', '--listen', '127.0.0.1:0'],
    ...['--worker', one.ready, '--worker', two.ready],
  );
  const ask = async (model: string, user: string): Promise<Answer> => {
    const response = await fetch(`${coordinator.ready}/v1/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({
        model,
        user,
        prompt: [5, 6, 7],
        max_tokens: 4,
        temperature: 0,
        ignore_eos: true,
      }),
    });
    assert.equal(response.status, 200, await response.clone().text());
    const body = (await response.json()) as { model: string; usage: { passes: { generated: number } } };
    const { passes } = body.usage;
    return { variant: response.headers.get('x-rondo-variant'), model: body.model, passes: passes.generated };
  };
  // Of four tokens three have a row of their own.
  const passes = { deep: 9, shallow: 6 } as const;
  for (const model of ['deep', 'shallow'] as const) {
    assert.deepEqual(await ask(model, 'anybody'), { variant: model, model, passes: passes[model] });
  }
  const seen = new Set<string>();
  for (let user = 0; user < 16; user++) {
    const [first, again] = [await ask('chat', `user ${user}`), await ask('chat', `user ${user}`)];
    assert.deepEqual(first, again);
    assert.equal(first.model, 'chat');
    assert.equal(first.passes, passes[first.variant as keyof typeof passes]);
    seen.add(first.variant!);
  }
  assert.equal(seen.size, 2, 'both variants answer somebody');
  for (;;) {
    const scrape = await Scrape.of(coordinator.ready);
    if (scrape.sum('rondo_shadow_compared_total') > 0) break;
  }
  // Whatever the variants are compared by is counted of each alone, and of both together it is what was asked.
  const scrape = await Scrape.of(coordinator.ready);
  const of = (metric: string, model: string, before = '') => scrape.sum(metric, `${before}model="${model}"`);
  const requests = 2 + 2 * 16;
  const answered = (['deep', 'shallow'] as const).map((model) => {
    const count = of('rondo_sequences_ended_total', model, 'reason="length",');
    assert.ok(count > 0);
    assert.equal(of('rondo_time_to_first_token_seconds_count', model), count);
    assert.equal(of('rondo_inter_token_seconds_count', model), 3 * count);
    assert.equal(of('rondo_sequence_seconds_count', model), count);
    assert.equal(of('rondo_generated_tokens_total', model), 4 * count);
    assert.equal(of('rondo_passes_total', model, 'kind="generated",'), passes[model] * count);
    return count;
  });
  assert.equal(answered[0]! + answered[1]!, requests);
  // Neither a recovery nor a contradiction is of a model unknown.
  for (const metric of ['rondo_sequences_running', 'rondo_sequences_waiting', 'rondo_contradictions_total']) {
    for (const model of ['deep', 'shallow']) assert.equal(of(metric, model), 0);
  }
});

test('a spread that contradicts itself ends the start, naming the option', async () => {
  await using bundle = await TinyBundle.make(2);
  const { code, stderr } = await RondoProcess.run(
    ...['coordinator', '--model', `a=${bundle.directory}`, '--worker', '127.0.0.1:1'],
    ...['--route', 'chat=a:1,b:1'],
  );
  assert.equal(code, 1);
  assert.match(stderr, /--route chat: there is no model 'b'/);
});

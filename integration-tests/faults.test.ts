import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Cluster } from './cluster.ts';
import { TinyBundle } from './tiny-bundle.ts';

let bundle: TinyBundle;
before(async () => {
  bundle = await TinyBundle.make(2);
});
after(() => bundle[Symbol.asyncDispose]());

const request = { model: 'tiny', prompt: 'The quick', max_tokens: 450, ignore_eos: true };

interface Health {
  readonly workers: {
    readonly address: string;
    readonly load: { freePositions: number; totalPositions: number };
  }[];
}

const health = async (cluster: Cluster): Promise<Health> =>
  (await (await fetch(`${cluster.url}/health`)).json()) as Health;

/** Asks until `done`; the test's own time limit bounds it. */
async function until(cluster: Cluster, done: (health: Health) => boolean): Promise<void> {
  while (!done(await health(cluster)));
}

test('clients that leave in the middle give back every page', { timeout: 60_000 }, async () => {
  await using cluster = await Cluster.start({ bundle: bundle.directory, workers: 2, placement: 'staged' });
  const idle = (view: Health) =>
    view.workers.length === 2 && view.workers.every(({ load }) => load.freePositions === load.totalPositions);
  await until(cluster, idle);
  for (let round = 0; round < 5; round++) {
    const controllers = await Promise.all(
      Array.from({ length: 8 }, async () => {
        const controller = new AbortController();
        const response = await fetch(`${cluster.url}/v1/completions`, {
          method: 'POST',
          headers: { 'content-type': 'application/json' },
          body: JSON.stringify({ ...request, stream: true }),
          signal: controller.signal,
        });
        await response.body!.getReader().read();
        return controller;
      }),
    );
    assert.ok(!idle(await health(cluster)), 'nothing was running');
    for (const controller of controllers) controller.abort();
  }
  await until(cluster, idle);
});

test('a request spends the passes it asks for and its prompt spends them all', async () => {
  await using deep = await TinyBundle.make(4);
  await using cluster = await Cluster.start({ bundle: deep.directory, workers: 1, placement: 'homed' });
  const passes = async (body: object) => {
    const response = await cluster.post('/v1/completions', {
      ...request,
      max_tokens: 11,
      temperature: 0,
      ...body,
    });
    assert.equal(response.status, 200, await response.clone().text());
    const { usage } = (await response.json()) as {
      usage: {
        prompt_tokens: number;
        prompt_tokens_details: { cached_tokens: number };
        passes: { prompt: number; generated: number };
      };
    };
    const { cached_tokens: cached } = usage.prompt_tokens_details;
    assert.equal(usage.passes.prompt, (usage.prompt_tokens - cached) * 4);
    return usage.passes.generated;
  };
  assert.equal(await passes({}), 10 * 4);
  assert.equal(await passes({ max_depth: 1 }), 10);
  assert.equal(await passes({ max_depth: 3 }), 10 * 3);
  // Any change is below a threshold of 1000, so every row leaves at the first pass it may.
  assert.equal(await passes({ exit_threshold: 1000, min_depth: 2 }), 10 * 2);
});

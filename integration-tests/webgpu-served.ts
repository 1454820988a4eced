// The process of webgpu.test.ts: serves several sequences at once by a worker on WebGPU and by one on the CPU, and prints, place by place
// as JSON lines, how far their logprobs are apart and what states came to the host. A place is `checkpoint:kvPolicy:where`, or with `:rank` behind it, then with adapters of that rank.
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Bundle, type Manifest, openBundle } from '@rondo/bundle';
import { convert, openCheckpoint } from '@rondo/converter';
import type { ExitRule } from '@rondo/core';
import { createEngine, type Provider, type StackBatch, type StackResult } from '@rondo/engine';
import { ALL_TARGETS, TinyFactors } from './adapted-checkpoint.ts';
import { EngineAround } from './engine-around.ts';
import { type Asked, type EngineWorker, workerAround } from './engine-worker.ts';

/** A real engine, and what crosses its seam. */
class WatchedEngine extends EngineAround {
  /** Rows through stacks, and floats of states that came in and went out with them. */
  readonly rows = { all: 0, floatsIn: 0, floatsOut: 0 };
  /** Of all runs: most depths, most chunks, most slots. */
  readonly runs = { depths: 0, chunks: 0, slots: 0 };

  override async runStack(batch: StackBatch): Promise<StackResult> {
    const { rows, runs } = this;
    rows.all += batch.rowCounts.reduce((sum, count) => sum + count, 0);
    if (batch.stack !== 'prelude') rows.floatsIn += batch.input.length;
    runs.depths = Math.max(runs.depths, new Set(batch.depths).size);
    runs.chunks = Math.max(runs.chunks, batch.starts.length);
    runs.slots = Math.max(runs.slots, batch.places?.slots ?? 0);
    const result = await super.runStack(batch);
    rows.floatsOut += result.state.length;
    return result;
  }
}

const rule = (policy: ExitRule['policy'], maxDepth: number, threshold = 0): ExitRule => ({
  ...{ policy, threshold, minDepth: 1, maxDepth },
  ...(policy === 'replay' && { depths: [2, 1, maxDepth] }),
});
const ids = (count: number, salt: number) =>
  Array.from({ length: count }, (_, at) => 3 + ((at * 11 + salt) % 80));

/** Prompts of a row to several chunks, and every way to leave the loop that the place allows. */
function asked({ manifest }: Bundle, staged: boolean): Asked[] {
  const { maxDepth, kvPolicy, exit } = manifest;
  const early = !staged || kvPolicy === 'catch-up';
  const rules = [rule('none', maxDepth)];
  if (early) rules.push(rule('replay', maxDepth), rule('latent-diff', maxDepth, 0.4));
  if (early && exit.signals.includes('gate')) rules.push(rule('gate', maxDepth, 0.6));
  if (early && !staged) rules.push(rule('confidence', maxDepth, 0.02));
  return [1, 5, 17, 70, 33, 9].map((rows, index) => ({
    promptIds: ids(rows, index * 7),
    maxTokens: 6 + index,
    exit: rules[index % rules.length]!,
    topLogprobs: 5,
  }));
}

interface Heard {
  readonly tokens: readonly { id: number; passes: number; logprobs: ReadonlyMap<number, number> }[];
}

async function hear(worker: EngineWorker, of: Asked, patience = Number.POSITIVE_INFINITY): Promise<Heard> {
  const tokens = [];
  for await (const event of worker.generate(of)) {
    if (event.type !== 'token') continue;
    const { id, passes, top } = event;
    tokens.push({ id, passes, logprobs: new Map(top.map((each) => [each.id, each.logprob])) });
    if (tokens.length === patience) break;
  }
  return { tokens };
}

/** All at once, and one that leaves in the middle; then one alone. */
async function serve(bundle: Bundle, provider: Provider, where: string) {
  await using stack = new AsyncDisposableStack();
  const start = async (on: Provider): Promise<WatchedEngine> =>
    new WatchedEngine(await createEngine(bundle, { threads: 1, kvBytes: 8e6, provider: on }));
  const watched = await start(provider);
  const others = [];
  let home = watched;
  if (where === 'stage') {
    others.push(stack.use(await workerAround(watched, bundle)).ref);
    home = await start('cpu');
  }
  if (where === 'home') others.push(stack.use(await workerAround(await start('cpu'), bundle)).ref);
  const worker = stack.use(await workerAround(home, bundle, others));
  const all = asked(bundle, where !== 'alone');
  const leaver: Asked = { ...all[3]!, maxTokens: 40 };
  const [heard] = await Promise.all([
    Promise.all(all.map((each) => hear(worker, each))),
    hear(worker, leaver, 3),
  ]);
  const busy = { ...watched.runs };
  watched.runs.slots = 0;
  heard.push(await hear(worker, all[0]!));
  return { heard, rows: watched.rows, busy, slotsLeft: watched.runs.slots };
}

const directory = await mkdtemp(join(tmpdir(), 'rondo-webgpu-'));
for (const name of process.argv.slice(2)) {
  const [fixture, kvPolicy, where, rank] = name.split(':') as [string, Manifest['kvPolicy'], string, string?];
  const out = join(directory, name);
  const checkpoint = await openCheckpoint(
    new URL(`./fixtures/tiny/${fixture}/checkpoint`, import.meta.url).pathname,
  );
  const loop = checkpoint.model.loop ? {} : { loopLayers: { first: 1, last: 2 }, loops: 3, damping: 1 / 3 };
  const factors = rank && new TinyFactors(checkpoint.model, Number(rank));
  const adapters = factors && { adapters: { targets: ALL_TARGETS, factorsOf: factors.factorsOf } };
  await convert({ checkpoint, out, precision: 'f32', kvPolicy, ...loop, ...adapters });
  await checkpoint.close();
  const bundle = await openBundle(out);
  const { hidden } = bundle.manifest.shape;
  const onCpu = await serve(bundle, 'cpu', where);
  const { heard, rows, busy, slotsLeft } = await serve(bundle, 'webgpu', where);
  let [apart, tokens] = [0, 0];
  const passes = new Set<number>();
  heard.forEach((each, sequence) => {
    const expected = onCpu.heard[sequence]!.tokens;
    assert.deepEqual(
      each.tokens.map((token) => [token.id, token.passes]),
      expected.map((token) => [token.id, token.passes]),
      `${name}, sequence ${sequence}`,
    );
    each.tokens.forEach((token, index) => {
      tokens++;
      passes.add(token.passes);
      for (const [id, logprob] of token.logprobs)
        apart = Math.max(apart, Math.abs(logprob - (expected[index]!.logprobs.get(id) ?? Number.NaN)));
    });
  });
  const host = { in: rows.floatsIn / hidden, out: rows.floatsOut / hidden };
  process.stdout.write(
    `${JSON.stringify({ name, apart, tokens, passes: [...passes], rows: rows.all, host, busy, slotsLeft })}\n`,
  );
}
await rm(directory, { recursive: true });

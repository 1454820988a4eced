import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { type Bundle, openBundle } from '@rondo/bundle';
import { type ConvertOptions, convert, openCheckpoint } from '@rondo/converter';
import type { ExitRule, TokenEvent } from '@rondo/core';
import { createEngine, STACKS } from '@rondo/engine';
import { logProbability, SerialModel } from '@rondo/lab';
import fc from 'fast-check';
import { type EngineWorker, workerAround } from './engine-worker.ts';

const FIXTURES = new URL('./fixtures/tiny/', import.meta.url).pathname;
const LOOPED = { loopLayers: { first: 1, last: 2 }, loops: 3, damping: 0.5 };

/** Models of other shapes, each with another policy, page size and kind of exit. */
const SETTINGS: readonly {
  readonly model: string;
  readonly options: Partial<ConvertOptions>;
  readonly exits: readonly Pick<ExitRule, 'policy' | 'threshold'>[];
}[] = [
  {
    model: 'llama-gqa',
    options: { ...LOOPED, kvPolicy: 'last-exited', pagePositions: 8 },
    exits: [{ policy: 'latent-diff', threshold: 0.5 }],
  },
  {
    model: 'qwen3-head-norms',
    options: { ...LOOPED, kvPolicy: 'propagate', pagePositions: 16 },
    exits: [{ policy: 'confidence', threshold: 0.1 }],
  },
  {
    model: 'ouro',
    options: { kvPolicy: 'catch-up', pagePositions: 32 },
    exits: [
      { policy: 'gate', threshold: 0.6 },
      { policy: 'confidence', threshold: 0.1 },
    ],
  },
];

let directory: string;
before(async () => {
  directory = await mkdtemp(join(tmpdir(), 'rondo-mixed-'));
});
after(() => rm(directory, { recursive: true, force: true }));

const visit = fc.record({
  beginning: fc.nat(1),
  promptRows: fc.integer({ min: 1, max: 90 }),
  maxTokens: fc.integer({ min: 1, max: 20 }),
  exit: fc.nat(3),
  depths: fc.array(fc.integer({ min: 1, max: 3 }), { minLength: 1, maxLength: 6 }),
  delay: fc.nat(60),
  patience: fc.option(fc.nat(8)),
});
type Visit = typeof visit extends fc.Arbitrary<infer Value> ? Value : never;

for (const { model, options, exits } of SETTINGS) {
  const name = `${model}, ${options.kvPolicy}, pages of ${options.pagePositions}`;
  test(`rows of any mix give the logits of one row at a time, and read nothing that is not theirs: ${name}`, async () => {
    const bundle = await bundleOf(model, options);
    const serial = await SerialModel.open(bundle, { threads: 1, positions: 128 });
    await using worker = await serve(bundle);
    const exitOf = ({ exit, depths }: Visit): ExitRule => {
      const bounds = { minDepth: 1, maxDepth: bundle.manifest.maxDepth };
      const rule = exits[exit];
      return rule ? { ...rule, ...bounds } : { policy: 'replay', threshold: 0, depths, ...bounds };
    };
    try {
      await fc.assert(
        fc.asyncProperty(fc.array(visit, { minLength: 2, maxLength: 8 }), async (visits) => {
          const told = await Promise.all(visits.map((of) => heard(worker, of, exitOf(of))));
          for (const [index, tokens] of told.entries())
            await agrees(serial, promptOf(visits[index]!), tokens);
        }),
        { numRuns: 8 },
      );
    } finally {
      await serial.close();
    }
  });
}

/** Few beginnings, so that prompts share pages. */
const promptOf = ({ promptRows, beginning }: Visit): number[] =>
  Array.from({ length: promptRows }, (_, index) => (index * 7 + beginning * 3) % 60);

/** Each token is the likeliest of the serial model that was fed the tokens before it, with its log probability. */
async function agrees(serial: SerialModel, prompt: number[], tokens: readonly TokenEvent[]): Promise<void> {
  serial.reset();
  if (tokens.length === 0) return;
  const first = await serial.forward(prompt);
  let logits = first.subarray(first.length - first.length / prompt.length);
  for (const [index, { id, logprob }] of tokens.entries()) {
    const scale = logits.reduce((largest, logit) => Math.max(largest, Math.abs(logit)), 0);
    const best = logits.reduce((largest, logit) => Math.max(largest, logit), Number.NEGATIVE_INFINITY);
    assert.ok(best - logits[id]! <= 1e-4 * scale, `token ${index} is ${id}, which is not the likeliest`);
    assert.ok(
      Math.abs(logProbability(logits, id) - logprob) <= 2e-4 * scale,
      `log probability of token ${index}`,
    );
    const next = tokens[index + 1];
    if (next) logits = await serial.row(id, next.passes);
  }
}

async function bundleOf(model: string, options: Partial<ConvertOptions>): Promise<Bundle> {
  const out = join(directory, model);
  const checkpoint = await openCheckpoint(join(FIXTURES, model, 'checkpoint'));
  await convert({ checkpoint, out, precision: 'f32', ...options });
  await checkpoint.close();
  return openBundle(out);
}

async function serve(bundle: Bundle) {
  const engine = await createEngine(bundle, { threads: 2, kvBytes: 2 ** 22, provider: 'cpu' });
  const { pools } = engine.description;
  for (const stack of STACKS) {
    await engine.poison(
      stack,
      Int32Array.from({ length: pools[stack] }, (_, page) => page),
    );
  }
  return workerAround(engine, bundle);
}

/** What a visitor hears before it has enough. */
async function heard(worker: EngineWorker, of: Visit, exit: ExitRule): Promise<TokenEvent[]> {
  for (let turn = 0; turn < of.delay; turn++) await setImmediate();
  const tokens: TokenEvent[] = [];
  for await (const event of worker.generate({ promptIds: promptOf(of), maxTokens: of.maxTokens, exit })) {
    if (event.type === 'token') tokens.push(event);
    if (of.patience !== null && tokens.length > of.patience) break;
  }
  return tokens;
}

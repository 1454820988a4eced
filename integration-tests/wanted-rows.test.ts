import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { type Bundle, openBundle } from '@rondo/bundle';
import { type ConvertOptions, convert, openCheckpoint } from '@rondo/converter';
import { createEngine, type Engine, pickRows, type StackBatch, type StackResult } from '@rondo/engine';
import { ALL_TARGETS, TinyFactors } from './adapted-checkpoint.ts';
import { assertClose } from './logits.ts';

/** Sums of a few rows and of many may be in another order. */
const TOLERANCE = 1e-5;
/** Rows of two sequences, the second a pass deeper, and what is wanted of both: nothing, one, some of each, and neighbours. */
const ROWS = [12, 7] as const;
const WANTED: readonly (readonly number[])[] = [[], [11], [3, 11, 12, 18], [0, 1, 2]];
const LOOP = { loopLayers: { first: 1, last: 2 }, loops: 2 } as const;

let directory: string;
before(async () => {
  directory = await mkdtemp(join(tmpdir(), 'rondo-wanted-'));
});
after(() => rm(directory, { recursive: true, force: true }));

async function bundleOf(fixture: string, options: Partial<ConvertOptions>): Promise<Bundle> {
  const out = join(await mkdtemp(join(directory, 'bundle-')), fixture);
  const checkpoint = await openCheckpoint(
    new URL(`./fixtures/tiny/${fixture}/checkpoint`, import.meta.url).pathname,
  );
  const adapters = options.adapters && {
    ...options.adapters,
    factorsOf: new TinyFactors(checkpoint.model, 4).factorsOf,
  };
  await convert({ checkpoint, out, precision: 'f32', ...LOOP, ...options, ...(adapters && { adapters }) });
  await checkpoint.close();
  return openBundle(out);
}

type Given = Pick<StackBatch, 'stack' | 'wanted' | 'head'>;

/** The rows behind `behind` earlier ones of each sequence, one of them a pass deeper, in a run of their own. */
function run(
  engine: Engine,
  bundle: Bundle,
  behind: readonly number[],
  rows: readonly number[],
  given: Given,
) {
  const { hidden } = bundle.manifest.shape;
  const total = rows.reduce((sum, count) => sum + count, 0);
  return engine.runStack({
    ...given,
    input: Float32Array.from({ length: total * hidden }, (_, at) => Math.sin(at * 1.7 + behind[0]!)),
    starts: Int32Array.from(behind),
    rowCounts: Int32Array.from(rows),
    depths: given.stack === 'block' ? Int32Array.of(0, 1) : new Int32Array(2),
    pageTable: Int32Array.of(1, 2, 3, 4),
    copies: [],
  });
}

const FACTORS = { targets: ALL_TARGETS, factorsOf: undefined as never } as const;
const CASES: readonly [string, string, Partial<ConvertOptions>][] = [
  ['f32', 'llama-gqa', { damping: 0.5 }],
  ['int8', 'llama-gqa', { damping: 0.5, precision: 'int8' }],
  ['int4', 'llama-gqa', { damping: 0.5, precision: 'int4' }],
  ['a gate and a norm behind every pass', 'ouro', { loopLayers: undefined, loops: undefined }],
  ['factors by depth, grouped', 'llama-gqa', { adapters: { ...FACTORS, method: 'grouped' } }],
  ['factors by depth, gathered', 'llama-gqa', { adapters: { ...FACTORS, method: 'gathered' } }],
  [
    'factors by depth in integers',
    'llama-gqa',
    { precision: 'int8', adapters: { ...FACTORS, method: 'integer' } },
  ],
];

for (const [name, fixture, options] of CASES) {
  test(`rows that are wanted come out as among all, and K and V are those of all rows: ${name}`, async () => {
    const bundle = await bundleOf(fixture, options);
    const { layers, shape } = bundle.manifest;
    const stacks = layers.coda > 0 ? (['block', 'coda'] as const) : (['block'] as const);
    for (const attention of ['pages', 'graph'] as const) {
      const engine = await createEngine(bundle, { threads: 2, kvBytes: 2 ** 22, provider: 'cpu', attention });
      try {
        for (const stack of stacks) {
          const all = await run(engine, bundle, [0, 0], ROWS, { stack });
          const next = await run(engine, bundle, ROWS, [9, 1], { stack });
          for (const wanted of WANTED) {
            await engine.poison(stack, Int32Array.of(1, 2, 3, 4));
            const some = await run(engine, bundle, [0, 0], ROWS, { stack, wanted });
            const partOf = (result: StackResult, what: 'state' | 'gate' | 'latentDiff') =>
              result[what] && pickRows(result[what], wanted, what === 'state' ? shape.hidden : 1);
            for (const what of ['state', 'gate', 'latentDiff'] as const) {
              const [found, expected] = [partOf(some, what), partOf(all, what)];
              if (wanted.length > 0 && expected) {
                assertClose(found!, expected, `${stack} ${what} of ${wanted}`, TOLERANCE);
              }
            }
            // A row that nobody wants is left out.
            if (attention === 'pages') assert.equal(some.state[5 * shape.hidden], Number.NaN);
            // The next rows read what these wrote.
            assert.deepEqual((await run(engine, bundle, ROWS, [9, 1], { stack })).state, next.state);
          }
          const head = { rows: [11, 18], wantLogits: true };
          const { head: behind } = await run(engine, bundle, [0, 0], ROWS, { stack, head });
          const asked = await run(engine, bundle, [0, 0], ROWS, { stack, head, wanted: head.rows });
          assertClose(asked.head!.logits!, behind!.logits!, 'logits', TOLERANCE);
        }
      } finally {
        await engine.close();
      }
    }
  });
}

import assert from 'node:assert/strict';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { openBundle } from '@rondo/bundle';
import { openCheckpoint, planLoop, TiedCheckpoint, targetShape, truncatedSvd } from '@rondo/converter';
import { ALL_TARGETS } from './adapted-checkpoint.ts';
import { distance, logitsOf } from './logits.ts';
import { relaxedLogits, relaxedModel, writeRelaxedCheckpoint } from './relaxed-cases.ts';
import { RondoProcess } from './rondo-process.ts';

const LOOP = ['--loops', '3', '--init', 'average'];
const PROMPT = [...relaxedLogits('llama').get('prompt')!];

let directory: string;
let checkpoint: string;
before(async () => {
  directory = await mkdtemp(join(tmpdir(), 'rondo-relaxed-command-'));
  checkpoint = await writeRelaxedCheckpoint(join(directory, 'checkpoint'), relaxedModel('llama'));
});
after(() => rm(directory, { recursive: true, force: true }));

/** `rondo convert` of the checkpoint, looped. */
const convert = (out: string, ...options: readonly string[]) =>
  RondoProcess.run('convert', checkpoint, '--out', out, ...LOOP, ...options);

/** `rondo convert` into a bundle of this name. */
async function converted(name: string, ...options: string[]) {
  const out = join(directory, name);
  const { code, stdout, stderr } = await convert(out, ...options);
  assert.equal(code, 0, stderr);
  return { out, stdout, ...(await openBundle(out)) };
}

/** The fewest ranks that keep `energy` of what the layers lost, by target, [layer of the block][depth]. */
async function fewestRanks(energy: number): Promise<Record<string, number[][]>> {
  const opened = await openCheckpoint(checkpoint);
  try {
    const plan = planLoop(opened.model, { loops: 3, init: 'average' });
    const tied = new TiedCheckpoint(opened, plan);
    const rankOf = async (layer: number, depth: number, target: (typeof ALL_TARGETS)[number]) => {
      const [out, columns] = targetShape(opened.model, target);
      return truncatedSvd(await tied.residual(layer, depth, target), out, columns, { energy }).rank;
    };
    const ranks: Record<string, number[][]> = {};
    for (const target of ALL_TARGETS) {
      ranks[target] = [];
      for (const layer of plan.block) {
        ranks[target].push(await Promise.all([0, 1, 2].map((depth) => rankOf(layer, depth, target))));
      }
    }
    return ranks;
  } finally {
    await opened.close();
  }
}

describe('rondo convert --lora-energy', () => {
  test('gives every matrix the fewest ranks that keep this share, tells them and runs', async () => {
    const { manifest, stdout, out } = await converted('energy', '--lora-energy', '0.8');
    const expected = await fewestRanks(0.8);
    assert.deepEqual(manifest.adapters?.ranks, expected);
    assert.equal(manifest.adapters?.energy, 0.8);
    const [low, high] = [Math.min(...expected.gate!.flat()), Math.max(...expected.gate!.flat())];
    assert.ok(low < high, 'ranks differ from matrix to matrix');
    assert.match(stdout, new RegExp(`^gate +${low}-${high} +[89]\\d\\.\\d % +8\\d\\.\\d % `, 'm'));
    const [logits, original] = [await logitsOf(out, PROMPT), relaxedLogits('llama').get('plain')!];
    const alone = await logitsOf((await converted('tied')).out, PROMPT);
    assert.ok(distance(logits, original) < distance(alone, original));
  });

  test('of everything loses nothing, and --lora-rank is then the most', async () => {
    const whole = await converted('whole', '--lora-energy', '1');
    assert.ok(distance(await logitsOf(whole.out, PROMPT), relaxedLogits('llama').get('plain')!) < 1e-4);
    const { manifest } = await converted('capped', '--lora-energy', '0.8', '--lora-rank', '3');
    const expected = await fewestRanks(0.8);
    const capped = Object.entries(expected).map(([target, ranks]) => [
      target,
      ranks.map((depths) => depths.map((rank) => Math.min(rank, 3))),
    ]);
    assert.deepEqual(manifest.adapters?.ranks, Object.fromEntries(capped));
  });
});

describe('rondo convert --lora-precision', () => {
  test('int8 stores factors over an int8 base in a quarter of the bytes, and says nearly the same', async () => {
    const base = ['--precision', 'int8', '--lora-rank', '8'];
    const [rounded, plain] = [
      await converted('int8-int8', ...base, '--lora-precision', 'int8'),
      await converted('int8-f32', ...base, '--lora-precision', 'f32'),
    ];
    assert.deepEqual(
      [rounded, plain].map(({ manifest }) => manifest.adapters?.method),
      ['integer', 'grouped'],
    );
    const factorBytes = (stdout: string) => Number(/its factors +\S+ M +(\S+) M/.exec(stdout)?.[1]);
    const share = factorBytes(rounded.stdout) / factorBytes(plain.stdout);
    assert.ok(share > 0.2 && share < 0.4, `${share} of the bytes`);
    const [some, others] = [await logitsOf(rounded.out, PROMPT), await logitsOf(plain.out, PROMPT)];
    const apart = distance(some, others);
    assert.ok(apart > 0 && apart < 0.1, `apart by ${apart} of the largest logit`);
    // What --precision int8 takes by itself, and int4.
    for (const precision of ['int8', 'int4']) {
      const byItself = await converted(precision, '--precision', precision, '--lora-rank', '8');
      assert.equal(byItself.manifest.adapters?.method, 'integer');
    }
  });

  test('is refused where it means nothing, before anything is written', async () => {
    const out = join(directory, 'refused');
    for (const [options, reason] of [
      [
        ['--lora-rank', '4', '--lora-precision', 'int8'],
        /--lora-precision int8: only with --precision int8 or int4, .*; here f32/,
      ],
      [['--lora-precision', 'int8'], /--lora-precision int8: needs --lora-rank or --lora-energy/],
      [['--lora-energy', '1.5'], /--lora-energy 1\.5: expected a number above 0 and at most 1/],
    ] as const) {
      const { code, stdout, stderr } = await convert(out, ...options);
      assert.deepEqual([code, stdout], [1, '']);
      assert.match(stderr, reason);
      assert.equal(
        (await readdir(directory)).some((name) => name.startsWith('refused')),
        false,
      );
    }
  });
});

test('more loops than a model may have are refused with the limit', async () => {
  const out = join(directory, 'endless');
  const loop = ['--loop-layers', '1-2', '--loops', '1000000'];
  const { code, stderr } = await RondoProcess.run('convert', checkpoint, '--out', out, ...loop);
  assert.equal(code, 1);
  assert.match(stderr, /--loops 1000000: a model has at most 256 passes \(passesMax\); choose fewer/);
});

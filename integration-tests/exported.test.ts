import assert from 'node:assert/strict';
import { cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { type Manifest, openBundle } from '@rondo/bundle';
import { type ConvertOptions, convert, exportBundle, openCheckpoint } from '@rondo/converter';
import { ALL_TARGETS, TinyFactors } from './adapted-checkpoint.ts';
import { assertClose, logitsOf } from './logits.ts';

let directory: string;
before(async () => {
  directory = await mkdtemp(join(tmpdir(), 'rondo-exported-'));
});
after(() => rm(directory, { recursive: true, force: true }));

type Options = Partial<ConvertOptions> & {
  readonly factors?: boolean;
  /** As from a GGUF file, which has no config.json. */
  readonly withoutConfig?: boolean;
};

/** Converts a fixture, exports the bundle, and converts that again. */
async function roundTrip(
  fixture: string,
  { factors = false, withoutConfig = false, ...options }: Options,
  shardBytes?: number,
) {
  const root = await mkdtemp(join(directory, `${fixture}-`));
  const [first, exported, second] = ['first', 'exported', 'second'].map((name) => join(root, name)) as [
    string,
    string,
    string,
  ];
  const precision = options.precision ?? 'f32';
  const path = new URL(`./fixtures/tiny/${fixture}/checkpoint`, import.meta.url).pathname;
  const opened = await openCheckpoint(path);
  const { format, licence, name, model, tokenizerFiles } = opened;
  const read = (tensor: string) => opened.read(tensor);
  const close = () => opened.close();
  const checkpoint = withoutConfig
    ? { path, format, licence, name, model, tokenizerFiles, read, close }
    : opened;
  const { factorsOf } = new TinyFactors(checkpoint.model, 'uneven');
  const adapters = factors ? { targets: ALL_TARGETS, factorsOf, ...options.adapters } : undefined;
  await convert({ checkpoint, out: first, ...options, precision, adapters });
  await checkpoint.close();
  const { lossy } = await exportBundle({ bundle: await openBundle(first), out: exported, shardBytes });
  const again = await openCheckpoint(exported);
  await convert({ checkpoint: again, out: second, precision });
  await again.close();
  return { first, exported, second, lossy };
}

const REPEATED = { loopLayers: { first: 1, last: 2 }, loops: 3, damping: 0.5 } as const;
const TIED = { loops: 2, init: 'average', keepFirst: 1, keepLast: 1 } as const;
const EXIT = { policy: 'latent-diff', threshold: 0.1, minDepth: 2 } as const;

describe('an f32 bundle that is exported and converted again is the same bundle', () => {
  const CASES: readonly (readonly [string, string, Options, number?])[] = [
    ['llama-gqa', 'plain', {}],
    [
      'llama-gqa',
      'looped, with an exit',
      { ...REPEATED, exit: EXIT, kvPolicy: 'catch-up', pagePositions: 8 },
    ],
    ['llama-gqa', 'with factors', { ...REPEATED, factors: true, name: 'another' }],
    [
      'llama-gqa',
      'with masked factors',
      { ...REPEATED, factors: true, adapters: { method: 'masked' } as never },
    ],
    ['llama-gqa', 'in shards', REPEATED, 10_000],
    ['llama-gqa', 'from a file without config.json', { ...REPEATED, withoutConfig: true }],
    ['llama-tied', 'a head that is the embedding', {}],
    ['llama-rope-linear', 'scaled rotations', {}],
    ['llama-rope-llama3', 'scaled rotations', {}],
    ['llama-rope-yarn', 'scaled rotations', {}],
    ['qwen2-bias', 'tied, biases of each depth', { ...TIED, keepLast: 0, factors: true }],
    ['qwen3-head-norms', 'tied, norms of each depth', { ...TIED, factors: true }],
    ['qwen3-head-norms', 'tied, shared norms', { ...TIED, factors: true, norms: 'shared' }],
    ['gemma', 'tied, norms that are stored less 1', { ...TIED, norms: 'per-depth' }],
    ['ouro', 'looped natively, with a gate', { loops: 3, exit: { ...EXIT, policy: 'gate' } }],
  ];
  for (const [fixture, what, options, shardBytes] of CASES) {
    test(`${fixture}: ${what}`, async () => {
      const { first, second, lossy } = await roundTrip(fixture, options, shardBytes);
      const [before, after] = [await openBundle(first), await openBundle(second)];
      assert.deepEqual(after.manifest, before.manifest);
      assert.equal(after.digest, before.digest);
      assert.equal(lossy, false);
    });
  }
});

describe('a rounded bundle is multiplied out, and says so', () => {
  for (const precision of ['int8', 'int4'] as const) {
    test(precision, async () => {
      const { first, exported, lossy } = await roundTrip('llama-gqa', {
        ...REPEATED,
        precision,
        factors: true,
      });
      assert.equal(lossy, true);
      const checkpoint = await openCheckpoint(exported);
      const out = join(directory, `${precision}-f32`);
      await convert({ checkpoint, out, precision: 'f32' });
      await checkpoint.close();
      const ids = Array.from({ length: 21 }, (_, at) => (at * 37 + 5) % 100);
      // What is left is the rounding of activations, and of factors' products.
      assertClose(await logitsOf(out, ids), await logitsOf(first, ids), precision, 0.1);
    });
  }
});

describe('what others find in the directory', () => {
  let exported: string;
  before(async () => {
    exported = (await roundTrip('llama-gqa', { ...TIED, factors: true })).exported;
  });
  const json = async (...path: string[]) => JSON.parse(await readFile(join(exported, ...path), 'utf8'));

  test('a config, a checkpoint, an adapter of each depth, and the loop', async () => {
    assert.deepEqual((await readdir(exported)).sort(), [
      'README.md',
      'adapters',
      'config.json',
      'generation_config.json',
      'model.safetensors',
      'rondo.json',
      'tokenizer.json',
      'tokenizer_config.json',
    ]);
    for (const depth of [0, 1]) {
      assert.deepEqual((await readdir(join(exported, 'adapters', `depth_${depth}`))).sort(), [
        'adapter_config.json',
        'adapter_model.safetensors',
        'vectors.safetensors',
      ]);
    }
    const config = await json('config.json');
    assert.deepEqual([config.num_hidden_layers, config.dtype], [3, 'float32']);
    const { layers, maxDepth, tied }: Manifest = await json('rondo.json');
    assert.deepEqual(
      { layers, maxDepth, norms: tied?.norms },
      {
        layers: { prelude: 1, block: 1, coda: 1 },
        maxDepth: 2,
        norms: 'per-depth',
      },
    );
  });

  test('adapters are scaled as peft scales them', async () => {
    const path = join('adapters', 'depth_1', 'adapter_config.json');
    const config = await json(path);
    const read = async (change: object) => {
      await writeFile(join(exported, path), JSON.stringify({ ...config, ...change }));
      const checkpoint = await openCheckpoint(exported);
      const { a, b } = await checkpoint.exported!.factorsOf!(1, 1, 'q');
      await checkpoint.close();
      return { a, b };
    };
    const plain = await read({});
    const rank = plain.a.length / 48;
    const scaled = await read({ alpha_pattern: { 'layers.1.self_attn.q_proj': 3 * rank } });
    assert.deepEqual(scaled.a, plain.a);
    assert.deepEqual(
      scaled.b,
      plain.b.map((value) => 3 * value),
    );
    const rooted = await read({ alpha_pattern: {}, lora_alpha: 4, use_rslora: true });
    assert.deepEqual(
      rooted.b,
      plain.b.map((value) => value * (4 / Math.sqrt(rank))),
    );
    await assert.rejects(read({ use_dora: true }), { code: 'CHECKPOINT_UNSUPPORTED', message: /use_dora/ });
    await read({});
  });

  test('another export replaces it, and nothing else is', async () => {
    const other = join(directory, 'mine');
    await mkdir(other);
    const bundle = await openBundle(join(exported, '..', 'first'));
    await assert.rejects(exportBundle({ bundle, out: other }), {
      code: 'CONFIG_INVALID',
      message: /mine: exists and is not an exported bundle/,
    });
    assert.deepEqual(await readdir(other), []);
    await exportBundle({ bundle, out: exported });
    assert.equal((await json('config.json')).num_hidden_layers, 3);
  });
});

describe('what does not fit is refused', () => {
  let exported: string;
  before(async () => {
    exported = (await roundTrip('llama-gqa', { ...REPEATED, factors: true })).exported;
  });
  const broken = async (name: string, change: (text: string) => string): Promise<string> => {
    const copy = await mkdtemp(join(directory, 'broken-'));
    await cp(exported, copy, { recursive: true });
    await writeFile(join(copy, name), change(await readFile(join(copy, name), 'utf8')));
    return copy;
  };

  test('options that say how to loop it', async () => {
    const checkpoint = await openCheckpoint(exported);
    for (const [options, flag] of [
      [{ loops: 2 }, /--loops: .*looped already/],
      [{ damping: 0.5 }, /--loop-damping: /],
      [{ init: 'average', loops: 2 }, /--loops: /],
      [{ norms: 'shared' }, /--norms: /],
      [{ initNorms: 'zero' }, /--init-norms: /],
      [{ initSeed: 0 }, /--init-seed: /],
      [{ keepFirst: 1 }, /--keep-first: /],
      [{ keepLast: 0 }, /--keep-last: /],
    ] as const) {
      const given = { checkpoint, out: join(directory, 'refused'), precision: 'f32', ...options } as const;
      await assert.rejects(convert(given), { code: 'CONFIG_INVALID', message: flag });
    }
    await checkpoint.close();
  });

  test('a rondo.json that is broken or of another model', async () => {
    const refused = async (change: (text: string) => string, message: RegExp) =>
      assert.rejects(openCheckpoint(await broken('rondo.json', change)), {
        code: 'CHECKPOINT_INVALID',
        message,
      });
    await refused(() => '{', /rondo\.json: not JSON/);
    await refused((text) => text.replace('"maxDepth": 3', '"maxDepth": 0'), /rondo\.json: maxDepth/);
    await refused(
      (text) => text.replace('"prelude": 1', '"prelude": 2'),
      /layers: expected 4 in all.* found 5/,
    );
  });

  test('a depth without its adapter, and an adapter without a tensor', async () => {
    const copy = await broken('rondo.json', (text) => text);
    await rm(join(copy, 'adapters', 'depth_2'), { recursive: true });
    await assert.rejects(openCheckpoint(copy), {
      code: 'CHECKPOINT_INVALID',
      message: /depth_2.*cannot be opened/,
    });
    const from = join(exported, 'adapters', 'depth_0', 'adapter_model.safetensors');
    const bytes = await readFile(from);
    const at = bytes.indexOf('q_proj.lora_A');
    bytes.write('x', at);
    const renamed = await broken('rondo.json', (text) => text);
    await writeFile(join(renamed, 'adapters', 'depth_0', 'adapter_model.safetensors'), bytes);
    await assert.rejects(openCheckpoint(renamed), {
      code: 'CHECKPOINT_INVALID',
      message: /q_proj\.lora_A\.weight is missing/,
    });
  });

  test('a bundle of an older version, which does not say where its weights lie', async () => {
    const first = join(exported, '..', 'first');
    const { model: _model, ...manifest } = (await openBundle(first)).manifest;
    await writeFile(join(first, 'bundle.json'), JSON.stringify(manifest));
    const out = join(directory, 'older');
    await assert.rejects(exportBundle({ bundle: await openBundle(first), out }), {
      code: 'BUNDLE_INVALID',
      message: /no model\.json.*convert its checkpoint again/,
    });
  });
});

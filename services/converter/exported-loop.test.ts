import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { openCheckpoint } from './checkpoint.ts';
import { safetensorsBytes, type TinyTensors, tinyTensor, writeTinyDirectory } from './test-checkpoint.ts';

let root: string;
let count = 0;
before(async () => {
  root = await mkdtemp(join(tmpdir(), 'rondo-exported-loop-'));
});
after(() => rm(root, { recursive: true, force: true }));

const A = 'base_model.model.model.layers.0.self_attn.v_proj.lora_A.weight';
const B = 'base_model.model.model.layers.0.self_attn.v_proj.lora_B.weight';
const NORM = 'model.layers.0.input_layernorm.weight';

/** One layer run twice, with factors of rank 2 for v and norms of each depth; `change` is told those of the second. */
async function exported(change: (factors: TinyTensors, vectors: TinyTensors) => void): Promise<string> {
  const directory = await writeTinyDirectory(join(root, `exported-${count++}`));
  const manifest = {
    version: 1,
    name: 'tiny',
    source: { checkpoint: 'tiny', architecture: 'llama', licence: 'none' },
    layers: { prelude: 0, block: 1, coda: 0 },
    maxDepth: 2,
    loop: { first: 0, last: 0, damping: 1 },
    tied: { init: 'average', norms: 'per-depth' },
    exit: { policy: 'none', threshold: 1, minDepth: 1, signals: [] },
    kvPolicy: 'last-exited',
    precision: 'f32',
    adapters: { rank: 2, targets: ['v'], method: 'grouped' },
    pagePositions: 16,
  };
  await writeFile(join(directory, 'rondo.json'), JSON.stringify(manifest));
  for (const depth of [0, 1]) {
    const own = join(directory, 'adapters', `depth_${depth}`);
    await mkdir(own, { recursive: true });
    const factors: TinyTensors = new Map([
      [A, tinyTensor(1, 2, 16)],
      [B, tinyTensor(2, 8, 2)],
    ]);
    const vectors: TinyTensors = new Map([
      [NORM, tinyTensor(3, 16)],
      ['model.layers.0.post_attention_layernorm.weight', tinyTensor(4, 16)],
    ]);
    if (depth === 1) change(factors, vectors);
    await writeFile(join(own, 'adapter_model.safetensors'), safetensorsBytes(factors));
    await writeFile(join(own, 'vectors.safetensors'), safetensorsBytes(vectors));
    await writeFile(join(own, 'adapter_config.json'), JSON.stringify({ lora_alpha: 2 }));
  }
  return directory;
}

const refused = async (
  code: string,
  message: RegExp,
  change: (factors: TinyTensors, vectors: TinyTensors) => void,
): Promise<void> => {
  await assert.rejects(openCheckpoint(await exported(change)), { code, message });
};

test('factors and norms of each depth are read as they were trained', async () => {
  const checkpoint = await openCheckpoint(await exported(() => {}));
  const { factorsOf, vectors } = checkpoint.exported!;
  assert.deepEqual(await factorsOf!(0, 1, 'v'), {
    a: tinyTensor(1, 2, 16).values,
    b: tinyTensor(2, 8, 2).values,
  });
  assert.deepEqual(await vectors!.read('layers.0.attentionNorm', 1), tinyTensor(3, 16).values);
  await checkpoint.close();
});

test('a trained value that is no number is named, and not rounded to one', async () => {
  const checkpoint = await openCheckpoint(
    await exported((factors, vectors) => {
      factors.get(B)!.values[3] = Number.NaN;
      vectors.get(NORM)!.values[0] = Number.POSITIVE_INFINITY;
    }),
  );
  const { factorsOf, vectors } = checkpoint.exported!;
  await assert.rejects(async () => factorsOf!(0, 1, 'v'), {
    code: 'CHECKPOINT_INVALID',
    message: /depth_1\/adapter_model\.safetensors: tensor \S+v_proj\.lora_B\.weight \[8,2\]: value 3 is NaN/,
  });
  await assert.rejects(vectors!.read('layers.0.attentionNorm', 1), {
    code: 'CHECKPOINT_INVALID',
    message: /depth_1\/vectors\.safetensors: tensor \S+input_layernorm\.weight \[16\]: value 0 is Infinity/,
  });
  await checkpoint.close();
});

test('factors and norms that are missing or of another shape are refused before anything is read', async () => {
  const invalid = (message: RegExp, change: (factors: TinyTensors, vectors: TinyTensors) => void) =>
    refused('CHECKPOINT_INVALID', message, change);
  await invalid(/lora_A\.weight: expected shape \[2,16\], found \[16,2\]/, (factors) =>
    factors.set(A, tinyTensor(1, 16, 2)),
  );
  await invalid(/lora_B\.weight: expected shape \[8,2\], found \[8,3\]/, (factors) =>
    factors.set(B, tinyTensor(2, 8, 3)),
  );
  await invalid(/lora_B\.weight is missing among 1/, (factors) => factors.delete(B));
  await invalid(/input_layernorm\.weight: expected shape \[16\], found \[8\]/, (_, vectors) =>
    vectors.set(NORM, tinyTensor(3, 8)),
  );
  await invalid(/input_layernorm\.weight is missing among 1/, (_, vectors) => vectors.delete(NORM));
});

test('what was trained besides is refused: leaving it out would change the results', async () => {
  const others = [
    'base_model.model.lm_head.lora_B.weight',
    B.replace('weight', 'bias'),
    B.replace('v_proj', 'q_proj'),
    B.replace('layers.0', 'layers.1'),
  ];
  for (const name of others) {
    const message = new RegExp(
      `tensor ${name.replaceAll('.', '\\.')} \\[8\\] has no place among factors of v`,
    );
    await refused('CHECKPOINT_UNSUPPORTED', message, (factors) => factors.set(name, tinyTensor(5, 8)));
  }
  await refused(
    'CHECKPOINT_UNSUPPORTED',
    /model\.norm\.weight \[16\] has no place among the norms/,
    (_, vectors) => vectors.set('model.norm.weight', tinyTensor(5, 16)),
  );
});

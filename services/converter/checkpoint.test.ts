import assert from 'node:assert/strict';
import { mkdtemp, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import type { ErrorCode } from '@rondo/core';
import { openCheckpoint } from './checkpoint.ts';
import {
  type PlainType,
  safetensorsBytes,
  type TinyTensors,
  tinyLlama,
  tinyTensor,
  writeTinyDirectory,
} from './test-checkpoint.ts';

let root: string;
let count = 0;
before(async () => {
  root = await mkdtemp(join(tmpdir(), 'rondo-checkpoint-'));
});
after(() => rm(root, { recursive: true, force: true }));

const fresh = (): string => join(root, `checkpoint-${count++}`);

async function refused(path: string, code: ErrorCode, ...words: (string | RegExp)[]): Promise<void> {
  await assert.rejects(openCheckpoint(path), (error: Error & { code: string }) => {
    assert.equal(error.code, code, error.message);
    for (const word of words)
      assert.match(error.message, typeof word === 'string' ? RegExp(literal(word)) : word);
    return true;
  });
}

const literal = (text: string): string => text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');

describe('a Hugging Face directory', () => {
  for (const type of ['F32', 'F16', 'BF16'] satisfies PlainType[]) {
    test(`gives every tensor as f32 from ${type}`, async () => {
      const checkpoint = await openCheckpoint(await writeTinyDirectory(fresh(), {}, tinyLlama(), type));
      assert.deepEqual(await checkpoint.read('layers.0.k'), tinyTensor(7, 8, 16).values);
      assert.deepEqual(await checkpoint.read('head'), tinyTensor(3, 10, 16).values);
      assert.deepEqual(await checkpoint.read('finalNorm'), tinyTensor(2, 16).values);
      await checkpoint.close();
    });
  }

  test('describes the model in neutral words', async () => {
    const checkpoint = await openCheckpoint(await writeTinyDirectory(fresh()));
    const { rope, ...model } = checkpoint.model;
    assert.deepEqual(model, {
      architecture: 'llama',
      layers: 1,
      hidden: 16,
      heads: 2,
      kvHeads: 1,
      headDim: 8,
      ffn: 24,
      vocab: 10,
      context: 64,
      normEpsilon: 1e-5,
      activation: 'silu',
      embeddingScale: 1,
      tiedHead: false,
      qkvBias: false,
      outputBias: false,
      headNorms: false,
      sandwichNorms: false,
      bos: 1,
      eos: [2],
    });
    assert.equal(rope.inverseFrequencies.length, 4);
    await checkpoint.close();
  });

  test('is read over several shards', async () => {
    const directory = fresh();
    await writeTinyDirectory(directory);
    await rm(join(directory, 'model.safetensors'));
    const all = [...tinyLlama()];
    const shards = [all.slice(0, 5), all.slice(5)];
    const weightMap: Record<string, string> = {};
    for (const [index, shard] of shards.entries()) {
      const file = `model-0000${index + 1}-of-00002.safetensors`;
      await writeFile(join(directory, file), safetensorsBytes(new Map(shard)));
      for (const [name] of shard) weightMap[name] = file;
    }
    await writeFile(
      join(directory, 'model.safetensors.index.json'),
      JSON.stringify({ weight_map: weightMap }),
    );
    const checkpoint = await openCheckpoint(directory);
    assert.deepEqual(await checkpoint.read('layers.0.down'), tinyTensor(12, 16, 24).values);
    await checkpoint.close();
    await rm(join(directory, 'model-00002-of-00002.safetensors'));
    await refused(directory, 'CHECKPOINT_INVALID', 'model-00002-of-00002.safetensors');
  });

  test('shares the embedding with a tied head', async () => {
    const tensors = tinyLlama();
    tensors.delete('lm_head.weight');
    const checkpoint = await openCheckpoint(
      await writeTinyDirectory(fresh(), { tie_word_embeddings: true }, tensors),
    );
    assert.deepEqual(await checkpoint.read('head'), tinyTensor(1, 10, 16).values);
    await checkpoint.close();
  });

  test('has a head of its own where one is stored that is not the embedding, though the config says tied', async () => {
    const config = { tie_word_embeddings: true };
    const other = await openCheckpoint(await writeTinyDirectory(fresh(), config));
    assert.deepEqual(await other.read('head'), tinyTensor(3, 10, 16).values);
    assert.equal(other.model.tiedHead, false);
    assert.equal(other.config?.tie_word_embeddings, false);
    await other.close();
    const copy = tinyLlama().set('lm_head.weight', tinyTensor(1, 10, 16));
    const same = await openCheckpoint(await writeTinyDirectory(fresh(), config, copy));
    assert.equal(same.model.tiedHead, true);
    await same.close();
    const misshapen = tinyLlama().set('lm_head.weight', tinyTensor(3, 9, 16));
    const directory = await writeTinyDirectory(fresh(), config, misshapen);
    await refused(directory, 'CHECKPOINT_INVALID', 'lm_head.weight: expected shape [10,16], found [9,16]');
  });

  test('has no head of its own in a tensor without elements, unless the config says that it is not tied', async () => {
    const tensors = tinyLlama().set('lm_head.weight', tinyTensor(3, 0));
    const tied = await openCheckpoint(
      await writeTinyDirectory(fresh(), { tie_word_embeddings: true }, tensors),
    );
    assert.equal(tied.model.tiedHead, true);
    assert.deepEqual(await tied.read('head'), tinyTensor(1, 10, 16).values);
    await tied.close();
    const directory = await writeTinyDirectory(fresh(), {}, tensors);
    await refused(directory, 'CHECKPOINT_INVALID', 'lm_head.weight: expected shape [10,16], found [0]');
  });

  test('has no sliding window where that is null', async () => {
    const config = {
      model_type: 'qwen3',
      use_sliding_window: true,
      sliding_window: null,
      max_window_layers: 0,
    };
    const tensors = tinyLlama()
      .set('model.layers.0.self_attn.q_norm.weight', tinyTensor(1, 8))
      .set('model.layers.0.self_attn.k_norm.weight', tinyTensor(2, 8));
    const checkpoint = await openCheckpoint(
      await writeTinyDirectory(fresh(), { ...config, head_dim: 8 }, tensors),
    );
    assert.equal(checkpoint.model.headNorms, true);
    await checkpoint.close();
  });

  test('of a Gemma model has norms ready to multiply', async () => {
    const config = { model_type: 'gemma', head_dim: 8, hidden_act: 'gelu', tie_word_embeddings: true };
    const tensors = tinyLlama();
    tensors.delete('lm_head.weight');
    const checkpoint = await openCheckpoint(await writeTinyDirectory(fresh(), config, tensors));
    assert.equal(checkpoint.model.activation, 'gelu-tanh');
    assert.equal(checkpoint.model.embeddingScale, 4);
    const expected = tinyTensor(4, 16).values.map((weight) => 1 + weight);
    assert.deepEqual(await checkpoint.read('layers.0.attentionNorm'), expected);
    assert.deepEqual(await checkpoint.read('embedding'), tinyTensor(1, 10, 16).values);
    await checkpoint.close();
  });

  test('ends generation where generation_config.json says', async () => {
    const directory = await writeTinyDirectory(fresh());
    await writeFile(join(directory, 'generation_config.json'), JSON.stringify({ eos_token_id: [2, 7] }));
    const checkpoint = await openCheckpoint(directory);
    assert.deepEqual(checkpoint.model.eos, [2, 7]);
    await checkpoint.close();
  });

  test('names its licence in the model card', async () => {
    const directory = await writeTinyDirectory(fresh());
    await writeFile(join(directory, 'README.md'), '---\nlanguage: en\nlicense: apache-2.0\n---\n# Model\n');
    const checkpoint = await openCheckpoint(directory);
    assert.equal(checkpoint.licence, 'apache-2.0');
    await checkpoint.close();
  });
});

describe('refused before anything is written:', () => {
  test('a path that leads nowhere', () => refused(join(root, 'nowhere'), 'CHECKPOINT_INVALID', 'nowhere'));

  test('a directory that holds no checkpoint', () =>
    refused(root, 'CHECKPOINT_INVALID', root, 'config.json', '.gguf'));

  test('pickled weights', async () => {
    const directory = fresh();
    await writeTinyDirectory(directory);
    await rm(join(directory, 'model.safetensors'));
    await writeFile(join(directory, 'pytorch_model.bin'), 'x');
    await refused(directory, 'CHECKPOINT_UNSUPPORTED', 'pytorch_model.bin', 'pickled', 'safetensors');
  });

  test('a missing tensor', async () => {
    const tensors = tinyLlama();
    tensors.delete('model.layers.0.mlp.up_proj.weight');
    const directory = await writeTinyDirectory(fresh(), {}, tensors);
    await refused(directory, 'CHECKPOINT_INVALID', 'model.safetensors', 'mlp.up_proj.weight', '[24,16]');
  });

  test('a tensor of the wrong shape', async () => {
    const tensors = tinyLlama();
    tensors.set('model.layers.0.mlp.up_proj.weight', tinyTensor(1, 16, 24));
    const directory = await writeTinyDirectory(fresh(), {}, tensors);
    await refused(directory, 'CHECKPOINT_INVALID', 'up_proj.weight', 'expected shape [24,16], found [16,24]');
  });

  test('a tensor that the architecture has no place for', async () => {
    const tensors = tinyLlama();
    tensors.set('model.layers.0.self_attn.q_norm.weight', tinyTensor(1, 8));
    const directory = await writeTinyDirectory(fresh(), {}, tensors);
    await refused(directory, 'CHECKPOINT_UNSUPPORTED', 'q_norm.weight', 'llama');
  });

  test('a file cut anywhere', async () => {
    const bytes = safetensorsBytes(tinyLlama());
    const directory = await writeTinyDirectory(fresh());
    const file = join(directory, 'model.safetensors');
    for (let length = bytes.length - 1; length >= 0; length -= 101) {
      await truncate(file, length);
      await refused(directory, 'CHECKPOINT_INVALID', 'model.safetensors');
    }
  });

  test('a foreign file in place of the weights', async () => {
    const directory = await writeTinyDirectory(fresh());
    await writeFile(join(directory, 'model.safetensors'), 'version https://git-lfs.github.com/spec/v1\n');
    await refused(directory, 'CHECKPOINT_INVALID', 'model.safetensors', 'not a safetensors file');
  });

  test('a config that is not JSON', async () => {
    const directory = await writeTinyDirectory(fresh());
    await writeFile(join(directory, 'config.json'), '{"model_type": "llama"');
    await refused(directory, 'CHECKPOINT_INVALID', 'config.json', 'not JSON');
  });

  const legalButUnsupported: Record<string, [object, ...string[]]> = {
    'an unknown architecture': [{ model_type: 'mamba' }, 'mamba', 'llama, qwen2, qwen3, gemma, ouro'],
    'an unknown rope type': [
      { rope_scaling: { rope_type: 'longrope', factor: 2 } },
      'longrope',
      'default, linear, llama3, yarn',
    ],
    'a rope over part of the head': [{ partial_rotary_factor: 0.5 }, 'partial_rotary_factor', '0.5'],
    'an unknown activation': [{ hidden_act: 'relu' }, 'hidden_act', 'relu', 'silu'],
    'a biased feed-forward': [{ mlp_bias: true }, 'mlp_bias'],
    'quantised weights': [{ quantization_config: { bits: 4 } }, 'quantization_config'],
    'a sliding window': [
      { model_type: 'qwen2', use_sliding_window: true, sliding_window: 8, max_window_layers: 0 },
      'use_sliding_window',
    ],
    'a sliding window whose width is left out': [
      { model_type: 'qwen2', use_sliding_window: true, max_window_layers: 0 },
      'use_sliding_window',
    ],
    'sliding layers': [{ model_type: 'qwen3', layer_types: ['sliding_attention'] }, 'layer_types'],
  };
  for (const [what, [config, ...words]] of Object.entries(legalButUnsupported)) {
    test(what, async () =>
      refused(await writeTinyDirectory(fresh(), config), 'CHECKPOINT_UNSUPPORTED', 'config.json', ...words),
    );
  }

  const broken: Record<string, [object, ...string[]]> = {
    'a config without a size': [{ hidden_size: undefined }, 'hidden_size', 'found nothing'],
    'norms without an epsilon': [{ rms_norm_eps: 0 }, 'rms_norm_eps', 'a number above 0, found 0'],
    'a size that is no number': [{ num_hidden_layers: '1' }, 'num_hidden_layers', '"1"'],
    'heads that do not divide': [{ num_attention_heads: 4, num_key_value_heads: 3 }, '4 heads', '3'],
    'an end token that is no id': [{ eos_token_id: 'stop' }, 'eos_token_id', '"stop"'],
  };
  for (const [what, [config, ...words]] of Object.entries(broken)) {
    test(what, async () =>
      refused(await writeTinyDirectory(fresh(), config), 'CHECKPOINT_INVALID', ...words),
    );
  }

  test('a packing that is not read', async () => {
    const directory = await writeTinyDirectory(fresh());
    const bytes = safetensorsBytes(tinyLlama()).toString('latin1').replace('"F32"', '"I64"');
    await writeFile(join(directory, 'model.safetensors'), bytes, 'latin1');
    await refused(directory, 'CHECKPOINT_UNSUPPORTED', 'model.embed_tokens.weight', 'I64', 'F32, F16, BF16');
  });

  test('offsets that contradict the shape', async () => {
    const tensors: TinyTensors = tinyLlama();
    tensors.set('model.norm.weight', { shape: [17], values: tinyTensor(2, 16).values });
    const directory = await writeTinyDirectory(fresh(), {}, tensors);
    await refused(directory, 'CHECKPOINT_INVALID', 'model.norm.weight', 'expected 68 bytes', 'found 64');
  });
});

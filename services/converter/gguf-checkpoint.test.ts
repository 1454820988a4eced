import assert from 'node:assert/strict';
import { mkdtemp, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { openCheckpoint } from './checkpoint.ts';
import { tensorShapes } from './model-spec.ts';
import {
  type GgufValue,
  ggufBytes,
  tinyGgufTensors,
  tinyMetadata,
  tinyTensor,
  writeTinyDirectory,
} from './test-checkpoint.ts';
import { GgufFiles } from './test-gguf-files.ts';

let files: GgufFiles;
before(async () => {
  files = await GgufFiles.make();
});
after(() => files.remove());

const withEntry = (key: string, value: GgufValue) => ({ ...tinyMetadata(), [key]: value });

test('a GGUF file and the directory it was made from are one model', async () => {
  const gguf = await files.opened(ggufBytes());
  const directory = await openCheckpoint(await writeTinyDirectory(join(files.root, 'directory')));
  const { normEpsilon, ...model } = gguf.model;
  const { normEpsilon: exact, ...expected } = directory.model;
  assert.deepEqual(model, expected);
  assert.equal(normEpsilon, Math.fround(exact));
  for (const [name] of tensorShapes(gguf.model)) {
    assert.deepEqual(await gguf.read(name), await directory.read(name), name);
  }
  assert.equal(gguf.licence, 'mit');
  assert.equal(gguf.name, 'tiny');
  await gguf.close();
  await directory.close();
});

test('without an output matrix the head is the embedding', async () => {
  const tensors = tinyGgufTensors();
  tensors.delete('output.weight');
  const checkpoint = await files.opened(ggufBytes(tinyMetadata(), tensors));
  assert.equal(checkpoint.model.tiedHead, true);
  assert.deepEqual(await checkpoint.read('head'), tinyTensor(1, 10, 16).values);
  await checkpoint.close();
});

test("Llama 3's frequency divisors are applied", async () => {
  const divisors = Float32Array.of(1, 1, 4, 8);
  const tensors = tinyGgufTensors().set('rope_freqs.weight', { shape: [4], values: divisors });
  const plain = await files.opened(ggufBytes());
  const scaled = await files.opened(ggufBytes(tinyMetadata(), tensors));
  assert.deepEqual(
    scaled.model.rope.inverseFrequencies,
    plain.model.rope.inverseFrequencies.map((value, at) => Math.fround(value / divisors[at]!)),
  );
  await plain.close();
  await scaled.close();
});

test('a scaling factor without a type is linear, as llama.cpp has it, and none under the type none', async () => {
  const frequencies = async (...entries: [string, GgufValue][]) => {
    const checkpoint = await files.opened(ggufBytes({ ...tinyMetadata(), ...Object.fromEntries(entries) }));
    await checkpoint.close();
    return checkpoint.model.rope.inverseFrequencies;
  };
  const plain = await frequencies();
  const quarter = plain.map((value) => Math.fround(value / 4));
  for (const key of ['llama.rope.scaling.factor', 'llama.rope.scale_linear']) {
    assert.deepEqual(await frequencies([key, { f32: 4 }]), quarter);
    assert.deepEqual(
      await frequencies([key, { f32: 4 }], ['llama.rope.scaling.type', { text: 'none' }]),
      plain,
    );
    const divisors = tinyGgufTensors().set('rope_freqs.weight', {
      shape: [4],
      values: Float32Array.of(1, 1, 4, 8),
    });
    const bytes = ggufBytes(withEntry(key, { f32: 4 }), divisors);
    await files.refused(bytes, 'CHECKPOINT_UNSUPPORTED', key, 'none beside tensor rope_freqs.weight');
  }
});

test('a factor on cosine and sine of the file\u2019s own is multiplied onto those of every type of scaling', async () => {
  const factor = async (entries: Record<string, GgufValue>, tensors = tinyGgufTensors()) => {
    const own = { 'llama.rope.scaling.attn_factor': { f32: 1.5 } };
    const checkpoint = await files.opened(ggufBytes({ ...tinyMetadata(), ...own, ...entries }, tensors));
    await checkpoint.close();
    return checkpoint.model.rope.attentionFactor;
  };
  const divisors = { shape: [4], values: Float32Array.of(1, 1, 4, 8) };
  assert.equal(await factor({}), 1.5);
  assert.equal(await factor({}, tinyGgufTensors().set('rope_freqs.weight', divisors)), 1.5);
  assert.equal(await factor({ 'llama.rope.scaling.type': { text: 'none' } }), 1.5);
  assert.equal(await factor({ 'llama.rope.scaling.factor': { f32: 4 } }), 1.5);
  const yarn = { 'llama.rope.scaling.type': { text: 'yarn' }, 'llama.rope.scaling.factor': { f32: 4 } };
  assert.equal(await factor(yarn), 1.5 * (1 + 0.1 * Math.log(4)));
});

test('settings of YaRN that say what follows from the others are as good as none, and others are refused', async () => {
  const scaling = (type: string, entries: Record<string, GgufValue>) =>
    ggufBytes({
      ...tinyMetadata(),
      'llama.rope.scaling.type': { text: type },
      'llama.rope.scaling.factor': { f32: 4 },
      ...entries,
    });
  const [mix, magnitude] = ['llama.rope.scaling.yarn_ext_factor', 'llama.rope.scaling.yarn_attn_factor'];
  const own = 1 + 0.1 * Math.log(4);
  for (const [type, mixes, magnitudes] of [
    ['yarn', [-1, 1], [1, own]],
    ['linear', [-1, 0], [1]],
  ] as const) {
    const plain = await files.opened(scaling(type, {}));
    await plain.close();
    for (const [key, value] of [
      ...mixes.map((value) => [mix, value] as const),
      ...magnitudes.map((value) => [magnitude, value] as const),
    ]) {
      const checkpoint = await files.opened(scaling(type, { [key!]: { f32: value } }));
      assert.deepEqual(checkpoint.model.rope, plain.model.rope, `${type}, ${key} ${value}`);
      await checkpoint.close();
    }
  }
  for (const [type, key, value] of [
    ['yarn', mix, 0],
    ['yarn', mix, 0.5],
    ['yarn', magnitude, 1.2],
    ['linear', mix, 1],
    ['linear', magnitude, own],
  ] as const) {
    await files.refused(scaling(type, { [key!]: { f32: value } }), 'CHECKPOINT_UNSUPPORTED', key!);
  }
});

test('what frequencies or norms cannot be computed with is named', async () => {
  for (const [key, value] of [
    ['llama.rope.freq_base', 0],
    ['llama.attention.layer_norm_rms_epsilon', 0],
    ['llama.rope.scale_linear', 0],
  ] as const) {
    await files.refused(
      ggufBytes(withEntry(key, { f32: value })),
      'CHECKPOINT_INVALID',
      key,
      'a number above 0, found 0',
    );
  }
  for (const [value, words] of [
    [0, 'value 2: expected a number above 0 to divide by, found 0'],
    [Number.NaN, 'value 2 is NaN'],
  ] as const) {
    const divisors = { shape: [4], values: Float32Array.of(1, 1, value, 8) };
    const tensors = tinyGgufTensors().set('rope_freqs.weight', divisors);
    await files.refused(ggufBytes(tinyMetadata(), tensors), 'CHECKPOINT_INVALID', 'rope_freqs.weight', words);
  }
});

test('Qwen2 keeps the order of its rows and has biases on q, k and v', async () => {
  const metadata = Object.fromEntries(
    Object.entries(tinyMetadata()).map(([key, value]) => [key.replace(/^llama\./, 'qwen2.'), value]),
  );
  const tensors = tinyGgufTensors()
    .set('blk.0.attn_q.bias', tinyTensor(20, 16))
    .set('blk.0.attn_k.bias', tinyTensor(21, 8))
    .set('blk.0.attn_v.bias', tinyTensor(22, 8));
  const stored = tensors.get('blk.0.attn_q.weight')!.values;
  const qwen2 = { ...metadata, 'general.architecture': { text: 'qwen2' } };
  const checkpoint = await files.opened(ggufBytes(qwen2, tensors));
  assert.equal(checkpoint.model.qkvBias, true);
  assert.equal(checkpoint.model.outputBias, false);
  assert.deepEqual(await checkpoint.read('layers.0.q'), stored);
  assert.deepEqual(await checkpoint.read('layers.0.q.bias'), tinyTensor(20, 16).values);
  await checkpoint.close();
});

test("Gemma's norms are stored ready to multiply", async () => {
  const metadata = Object.fromEntries(
    Object.entries(tinyMetadata()).map(([key, value]) => [key.replace(/^llama\./, 'gemma.'), value]),
  );
  const gemma = { ...metadata, 'general.architecture': { text: 'gemma' } };
  const checkpoint = await files.opened(ggufBytes(gemma, tinyGgufTensors()));
  assert.deepEqual(await checkpoint.read('finalNorm'), tinyTensor(2, 16).values);
  assert.equal(checkpoint.model.embeddingScale, 4);
  await checkpoint.close();
});

test('a turn may end on its own token', async () => {
  const checkpoint = await files.opened(ggufBytes(withEntry('tokenizer.ggml.eot_token_id', { u32: 5 })));
  assert.deepEqual(checkpoint.model.eos, [2, 5]);
  await checkpoint.close();
});

test('a number outside the vocabulary is no token, whichever the file has for none', async () => {
  for (const none of [10, 2 ** 32 - 1]) {
    const tokens = {
      'tokenizer.ggml.bos_token_id': { u32: none },
      'tokenizer.ggml.eos_token_id': { u32: none },
    };
    const checkpoint = await files.opened(ggufBytes({ ...tinyMetadata(), ...tokens }));
    assert.deepEqual([checkpoint.model.bos, checkpoint.model.eos], [undefined, []]);
    await checkpoint.close();
  }
});

test('a directory with one GGUF file in it is named after the directory', async () => {
  const directory = await mkdtemp(join(files.root, 'named-'));
  await writeFile(join(directory, 'whatever.gguf'), ggufBytes());
  const checkpoint = await openCheckpoint(directory);
  assert.equal(checkpoint.name, directory.split('/').at(-1));
  await checkpoint.close();
  await writeFile(join(directory, 'second.gguf'), ggufBytes());
  await assert.rejects(openCheckpoint(directory), /holds 2 \.gguf files/);
});

test('an unknown architecture is refused by name', () =>
  files.refused(
    ggufBytes(withEntry('general.architecture', { text: 'mamba' })),
    'CHECKPOINT_UNSUPPORTED',
    'mamba',
    'llama, qwen2, qwen3, gemma',
  ));

test('a missing tensor is named', async () => {
  const tensors = tinyGgufTensors();
  tensors.delete('blk.0.attn_v.weight');
  await files.refused(
    ggufBytes(tinyMetadata(), tensors),
    'CHECKPOINT_INVALID',
    'blk.0.attn_v.weight is missing',
    '[8,16]',
  );
});

test('a tensor of the wrong shape is named', () =>
  files.refused(
    ggufBytes(withEntry('llama.feed_forward_length', { u32: 32 })),
    'CHECKPOINT_INVALID',
    'blk.0.ffn_gate.weight',
    'expected shape [32,16], found [24,16]',
  ));

const unsupported: Record<string, [string, GgufValue]> = {
  experts: ['llama.expert_count', { u32: 8 }],
  'a soft cap on logits': ['llama.final_logit_softcapping', { f32: 30 }],
  'a temperature that grows with the position': ['llama.attention.temperature_scale', { f32: 0.1 }],
  'a scaling of YaRN by its logarithm': ['llama.rope.scaling.yarn_log_multiplier', { f32: 0.1 }],
  'a sliding window': ['llama.attention.sliding_window', { u32: 8 }],
  'an unknown rope scaling': ['llama.rope.scaling.type', { text: 'longrope' }],
  'a rope over part of the head': ['llama.rope.dimension_count', { u32: 4 }],
  'one part of several': ['split.count', { u32: 2 }],
};
for (const [what, [key, value]] of Object.entries(unsupported)) {
  test(`${what} is refused by key`, () =>
    files.refused(ggufBytes(withEntry(key, value)), 'CHECKPOINT_UNSUPPORTED', 'tiny.gguf', key));
}

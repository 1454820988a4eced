import { RondoError } from '@rondo/core';
import { type Architecture, architectureNames, findArchitecture, type NameTable } from './architecture.ts';
import type { Fields } from './fields.ts';
import { type GgufFile, openGgufFile } from './gguf.ts';
import { tokenizerFromGguf } from './gguf-tokenizer.ts';
import { HEAD_DIM_MAX, type ModelSpec, type RopeSpec } from './model-spec.ts';
import { defaultRope, linearRope, yarnRope } from './rope.ts';
import { type Source, storedName } from './source.ts';
import { elementsOf, requireFinite } from './tensor-file.ts';

/** Settings that other members of a family may carry and that would change results. */
const REFUSED = [
  'expert_count',
  'attn_logit_softcapping',
  'final_logit_softcapping',
  'logit_scale',
  'residual_scale',
  'embedding_scale',
  'attention.scale',
  'attention.clamp_kqv',
  'attention.max_alibi_bias',
  'attention.temperature_scale',
  'rope.scaling.yarn_log_multiplier',
];

/** Opens one .gguf file: hyper-parameters, tensors and tokenizer all come from it. */
export async function openGguf(path: string): Promise<Source> {
  const gguf = await openGgufFile(path);
  const { file, metadata, tensors } = gguf;
  try {
    if (metadata.number('split.count', 1) > 1) {
      metadata.unsupported('split.count', '1: merge the parts with llama-gguf-split --merge');
    }
    const name = metadata.text('general.architecture');
    const architecture = findArchitecture(name);
    if (!architecture?.gguf) {
      return metadata.unsupported('general.architecture', architectureNames('gguf').join(', '));
    }
    return {
      format: 'gguf',
      inventory: path,
      architecture,
      names: architecture.gguf.names,
      model: await modelFromMetadata(gguf, architecture, architecture.gguf.names),
      licence: metadata.text('general.license', 'unknown'),
      files: [file],
      tensors,
      normOffset: 0,
      interleavedRope: architecture.gguf.interleavedRope,
      tokenizerFiles: tokenizerFromGguf(metadata),
    };
  } catch (error) {
    await file.close();
    throw error;
  }
}

async function modelFromMetadata(
  gguf: GgufFile,
  architecture: Architecture,
  names: NameTable,
): Promise<ModelSpec> {
  const { metadata, tensors } = gguf;
  const fields = metadata.under(`${architecture.name}.`);
  for (const key of REFUSED) if (fields.has(key) && fields.number(key) !== 0) fields.unsupported(key, 'none');
  const hidden = fields.count('embedding_length');
  const heads = fields.count('attention.head_count');
  const kvHeads = fields.count('attention.head_count_kv', heads);
  const headDim = fields.count('attention.key_length', hidden / heads, HEAD_DIM_MAX);
  const context = fields.count('context_length');
  for (const key of ['attention.value_length', 'rope.dimension_count']) {
    if (fields.count(key, headDim) !== headDim) fields.unsupported(key, `the head size ${headDim}`);
  }
  if (fields.number('attention.sliding_window', context) < context) {
    fields.unsupported('attention.sliding_window', `at least the context of ${context}`);
  }
  const stored = (name: string) => tensors.get(storedName(names, name) ?? '');
  const vocab = stored('embedding')?.shape[0] ?? fields.count('vocab_size');
  const [bos, eos, eot] = ['bos_token_id', 'eos_token_id', 'eot_token_id'].map((key) =>
    metadata.token(`tokenizer.ggml.${key}`, vocab),
  );
  return {
    architecture: architecture.name,
    layers: fields.count('block_count'),
    hidden,
    heads,
    kvHeads,
    headDim,
    ffn: fields.count('feed_forward_length'),
    vocab,
    context,
    normEpsilon: fields.positive('attention.layer_norm_rms_epsilon'),
    activation: Object.values(architecture.activations)[0]!,
    embeddingScale: architecture.embeddingScale(hidden),
    tiedHead: !stored('head'),
    // GGUF has no key for biases: they are there or not.
    qkvBias: stored('layers.0.q.bias') !== undefined,
    outputBias: stored('layers.0.o.bias') !== undefined,
    headNorms: architecture.headNorms,
    sandwichNorms: architecture.sandwichNorms,
    rope: await ropeFromMetadata(gguf, fields, names, headDim, context),
    ...(bos !== undefined && { bos }),
    eos: [...new Set([eos, eot])].filter((id) => id !== undefined),
  };
}

/** llama.cpp multiplies a file's own factor onto cosine and sine, whatever the type of scaling. */
async function ropeFromMetadata(...given: Parameters<typeof scaledRope>): Promise<RopeSpec> {
  const [, fields] = given;
  const rope = await scaledRope(...given);
  return { ...rope, attentionFactor: rope.attentionFactor * fields.positive('rope.scaling.attn_factor', 1) };
}

async function scaledRope(
  { tensors }: GgufFile,
  fields: Fields,
  names: NameTable,
  headDim: number,
  context: number,
): Promise<RopeSpec> {
  const base = fields.positive('rope.freq_base', 10_000);
  // As llama.cpp has it: a factor without a type is linear.
  const type = fields.text('rope.scaling.type', 'linear');
  if (type !== 'yarn') refuseOtherYarn(fields, 0, 1);
  const factorKey = fields.has('rope.scaling.factor') ? 'rope.scaling.factor' : 'rope.scale_linear';
  const factor = () => fields.positive(factorKey, 1);
  // Llama 3's scaling is stored as one divisor per frequency.
  const divisors = tensors.get(storedName(names, 'ropeFactors') ?? '');
  if (divisors) {
    const alone = `none beside tensor ${divisors.name}`;
    if (type !== 'none' && type !== 'linear') fields.unsupported('rope.scaling.type', alone);
    if (type === 'linear' && factor() !== 1) fields.unsupported(factorKey, alone);
    if (elementsOf(divisors.shape) !== headDim / 2) {
      throw new RondoError(
        'CHECKPOINT_INVALID',
        `${fields.file}: tensor ${divisors.name}: expected shape [${headDim / 2}], found [${divisors.shape}]`,
      );
    }
    const values = await divisors.file.read(divisors);
    requireFinite(values, divisors);
    const none = values.findIndex((value) => value <= 0);
    if (none >= 0) {
      throw new RondoError(
        'CHECKPOINT_INVALID',
        `${fields.file}: tensor ${divisors.name}: value ${none}: expected a number above 0 to divide by, found ${values[none]}`,
      );
    }
    const plain = defaultRope(base, headDim);
    return {
      inverseFrequencies: plain.inverseFrequencies.map((value, at) => Math.fround(value / values[at]!)),
      attentionFactor: 1,
    };
  }
  switch (type) {
    case 'none':
      return defaultRope(base, headDim);
    case 'linear':
      return linearRope(base, headDim, factor());
    case 'yarn': {
      const rope = yarnRope(base, headDim, {
        factor: factor(),
        original: fields.count('rope.scaling.original_context_length', context),
        betaFast: fields.positive('rope.scaling.yarn_beta_fast', 32),
        betaSlow: fields.positive('rope.scaling.yarn_beta_slow', 1),
        truncate: true,
      });
      refuseOtherYarn(fields, 1, rope.attentionFactor);
      return rope;
    }
    default:
      return fields.unsupported('rope.scaling.type', 'none, linear, yarn');
  }
}

/** A factor of a file is an f32, and may have been computed in one. */
const SAME_FACTOR = 1e-6;

/**
 * How much of YaRN is mixed in and how it scales cosine and sine follow from the other settings; a file may say the same, and of the
 * second that there is no other. Below 0 the first says nothing.
 */
function refuseOtherYarn(fields: Fields, mixed: number, magnitude: number): void {
  const [mixKey, magnitudeKey] = ['rope.scaling.yarn_ext_factor', 'rope.scaling.yarn_attn_factor'];
  const mix = fields.number(mixKey, mixed);
  if (mix >= 0 && mix !== mixed) fields.unsupported(mixKey, `${mixed}`);
  const found = fields.number(magnitudeKey, 1);
  if (found !== 1 && Math.abs(found - magnitude) > SAME_FACTOR * magnitude) {
    fields.unsupported(magnitudeKey, magnitude === 1 ? '1' : `1 or ${magnitude}`);
  }
}

import { isDeepStrictEqual } from 'node:util';
import { findArchitecture } from './architecture.ts';
import { Fields } from './fields.ts';
import { modelFromConfig } from './huggingface-model.ts';
import type { ModelSpec } from './model-spec.ts';
import { defaultRope } from './rope.ts';

type Json = Readonly<Record<string, unknown>>;

/**
 * config.json of a Hugging Face directory that holds `model` in f32: the source's own where it has one, with the layers that
 * are written. Undefined where none says the same, as for rotations that only a GGUF file can describe.
 */
export function huggingFaceConfig(model: ModelSpec, source: Json | undefined): Json | undefined {
  const { dtype: _dtype, torch_dtype: _torchDtype, layer_types: _types, ...own } = source ?? configOf(model);
  const said: Json = {
    ...own,
    num_hidden_layers: model.layers,
    dtype: 'float32',
    ...(model.bos !== undefined && { bos_token_id: model.bos }),
    ...(model.eos.length > 0 && { eos_token_id: model.eos.length === 1 ? model.eos[0] : model.eos }),
  };
  // In one order, or a config that was written and read again would be another one.
  const config = Object.fromEntries(Object.entries(said).sort(([a], [b]) => (a < b ? -1 : 1)));
  const architecture = findArchitecture(model.architecture)!;
  try {
    const read = modelFromConfig(new Fields('config.json', config), undefined, architecture);
    return isDeepStrictEqual(read, model) ? config : undefined;
  } catch {
    return undefined;
  }
}

/** For a model that comes without one. */
function configOf(model: ModelSpec): Json {
  const { className, activations } = findArchitecture(model.architecture)!;
  const activation = Object.keys(activations).find((name) => activations[name] === model.activation);
  return {
    architectures: [className],
    model_type: model.architecture,
    hidden_size: model.hidden,
    num_attention_heads: model.heads,
    num_key_value_heads: model.kvHeads,
    head_dim: model.headDim,
    intermediate_size: model.ffn,
    vocab_size: model.vocab,
    max_position_embeddings: model.context,
    rms_norm_eps: model.normEpsilon,
    hidden_act: activation,
    hidden_activation: activation,
    attention_bias: model.outputBias,
    tie_word_embeddings: model.tiedHead,
    rope_theta: rotaryBase(model),
  };
}

/**
 * The base b of frequencies b^(−2i/dim), a whole number in all published models. The last frequency, nearest to 1/b, tells it best: an error
 * of f32 in the first is raised to the power of dim/2 with it. What is left of it a number of six digits has not.
 */
export function rotaryBase({ headDim, rope }: Pick<ModelSpec, 'headDim' | 'rope'>): number {
  if (headDim < 4) return 10_000;
  const near = rope.inverseFrequencies.at(-1)! ** (-headDim / (headDim - 2));
  const round = Number(near.toPrecision(6));
  return isDeepStrictEqual(defaultRope(round, headDim), rope) ? round : Math.round(near);
}

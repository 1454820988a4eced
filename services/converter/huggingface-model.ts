import type { Architecture } from './architecture.ts';
import type { Fields } from './fields.ts';
import { HEAD_DIM_MAX, type ModelSpec } from './model-spec.ts';
import { ropeFromConfig } from './rope.ts';

/**
 * What a config.json describes; `generation` is generation_config.json.
 * @throws RondoError CHECKPOINT_* naming the key, what was expected and what was found.
 */
export function modelFromConfig(
  config: Fields,
  generation: Fields | undefined,
  architecture: Architecture,
): ModelSpec {
  const hidden = config.count('hidden_size');
  const heads = config.count('num_attention_heads');
  const kvHeads = config.count('num_key_value_heads', heads);
  const headDim = config.count('head_dim', architecture.defaults.headDim ?? hidden / heads, HEAD_DIM_MAX);
  const context = config.count('max_position_embeddings');
  const actKey = config.has('hidden_activation') ? 'hidden_activation' : 'hidden_act';
  const activation = architecture.activations[config.text(actKey, Object.keys(architecture.activations)[0])];
  if (!activation) config.unsupported(actKey, Object.keys(architecture.activations).join(', '));
  architecture.check(config);
  const biases = architecture.biases(config);
  const bos = (config.has('bos_token_id') ? config : generation)?.ids('bos_token_id')[0];
  return {
    architecture: architecture.name,
    layers: config.count('num_hidden_layers'),
    hidden,
    heads,
    kvHeads,
    headDim,
    ffn: config.count('intermediate_size'),
    vocab: config.count('vocab_size'),
    context,
    normEpsilon: config.positive('rms_norm_eps', 1e-6),
    activation,
    embeddingScale: architecture.embeddingScale(hidden),
    tiedHead: config.flag('tie_word_embeddings', architecture.defaults.tiedHead),
    qkvBias: biases.qkv,
    outputBias: biases.output,
    headNorms: architecture.headNorms,
    sandwichNorms: architecture.sandwichNorms,
    rope: ropeFromConfig(config, headDim, context),
    ...(architecture.loop && { loop: architecture.loop(config) }),
    ...(bos !== undefined && { bos }),
    // What ends a chat turn is often listed only for generation.
    eos: (generation?.has('eos_token_id') ? generation : config).ids('eos_token_id'),
  };
}

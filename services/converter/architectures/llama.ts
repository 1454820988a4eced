import type { Architecture } from '../architecture.ts';
import type { Fields } from '../fields.ts';

/** Llama 2 and 3, TinyLlama, SmolLM2. The other families' tables extend this one. */
export const llama: Architecture = {
  name: 'llama',
  className: 'LlamaForCausalLM',
  activations: { silu: 'silu', swish: 'silu', gelu_pytorch_tanh: 'gelu-tanh', gelu_new: 'gelu-tanh' },
  embeddingScale: () => 1,
  headNorms: false,
  sandwichNorms: false,
  defaults: { tiedHead: false },
  biases: biasesFromConfig,
  check: (config) => {
    if (config.flag('mlp_bias', false)) config.unsupported('mlp_bias', 'false');
  },
  normOffset: 0,
  safetensors: {
    embedding: 'model.embed_tokens.weight',
    finalNorm: 'model.norm.weight',
    head: 'lm_head.weight',
    'layers.#.attentionNorm': 'model.layers.#.input_layernorm.weight',
    'layers.#.ffnNorm': 'model.layers.#.post_attention_layernorm.weight',
    'layers.#.q': 'model.layers.#.self_attn.q_proj.weight',
    'layers.#.k': 'model.layers.#.self_attn.k_proj.weight',
    'layers.#.v': 'model.layers.#.self_attn.v_proj.weight',
    'layers.#.o': 'model.layers.#.self_attn.o_proj.weight',
    'layers.#.q.bias': 'model.layers.#.self_attn.q_proj.bias',
    'layers.#.k.bias': 'model.layers.#.self_attn.k_proj.bias',
    'layers.#.v.bias': 'model.layers.#.self_attn.v_proj.bias',
    'layers.#.o.bias': 'model.layers.#.self_attn.o_proj.bias',
    'layers.#.gate': 'model.layers.#.mlp.gate_proj.weight',
    'layers.#.up': 'model.layers.#.mlp.up_proj.weight',
    'layers.#.down': 'model.layers.#.mlp.down_proj.weight',
  },
  ignored: [/\.rotary_emb\.inv_freq$/],
  gguf: {
    names: {
      ropeFactors: 'rope_freqs.weight',
      embedding: 'token_embd.weight',
      finalNorm: 'output_norm.weight',
      head: 'output.weight',
      'layers.#.attentionNorm': 'blk.#.attn_norm.weight',
      'layers.#.ffnNorm': 'blk.#.ffn_norm.weight',
      'layers.#.q': 'blk.#.attn_q.weight',
      'layers.#.k': 'blk.#.attn_k.weight',
      'layers.#.v': 'blk.#.attn_v.weight',
      'layers.#.o': 'blk.#.attn_output.weight',
      'layers.#.q.bias': 'blk.#.attn_q.bias',
      'layers.#.k.bias': 'blk.#.attn_k.bias',
      'layers.#.v.bias': 'blk.#.attn_v.bias',
      'layers.#.o.bias': 'blk.#.attn_output.bias',
      'layers.#.gate': 'blk.#.ffn_gate.weight',
      'layers.#.up': 'blk.#.ffn_up.weight',
      'layers.#.down': 'blk.#.ffn_down.weight',
    },
    interleavedRope: true,
  },
};

/** `attention_bias` adds a bias to all four projections. */
export function biasesFromConfig(config: Fields): { qkv: boolean; output: boolean } {
  const biased = config.flag('attention_bias', false);
  return { qkv: biased, output: biased };
}

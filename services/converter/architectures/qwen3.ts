import type { Architecture } from '../architecture.ts';
import { biasesFromConfig } from './llama.ts';
import { qwen2 } from './qwen2.ts';

/** Qwen3 (dense): RMS norms on every query and key head, no biases unless the config asks for them. */
export const qwen3: Architecture = {
  ...qwen2,
  name: 'qwen3',
  className: 'Qwen3ForCausalLM',
  headNorms: true,
  defaults: { tiedHead: false, headDim: 128 },
  biases: biasesFromConfig,
  safetensors: {
    ...qwen2.safetensors,
    'layers.#.qNorm': 'model.layers.#.self_attn.q_norm.weight',
    'layers.#.kNorm': 'model.layers.#.self_attn.k_norm.weight',
  },
  gguf: {
    names: {
      ...qwen2.gguf!.names,
      'layers.#.qNorm': 'blk.#.attn_q_norm.weight',
      'layers.#.kNorm': 'blk.#.attn_k_norm.weight',
    },
    interleavedRope: false,
  },
};

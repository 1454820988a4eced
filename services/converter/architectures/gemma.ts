import type { Architecture } from '../architecture.ts';
import { llama } from './llama.ts';

/** Gemma 1 (2B, 7B): norms multiply by 1 + w, embeddings are scaled, tanh GELU, wide heads, tied head. */
export const gemma: Architecture = {
  ...llama,
  name: 'gemma',
  className: 'GemmaForCausalLM',
  // Published configs say `gelu`; the model is meant to use the tanh approximation (transformers #29402).
  activations: { gelu_pytorch_tanh: 'gelu-tanh', gelu: 'gelu-tanh', gelu_new: 'gelu-tanh' },
  embeddingScale: Math.sqrt,
  defaults: { tiedHead: true, headDim: 256 },
  check: (config) => {
    if (config.flag('use_bidirectional_attention', false)) {
      config.unsupported('use_bidirectional_attention', 'false');
    }
  },
  normOffset: 1,
  gguf: { names: llama.gguf!.names, interleavedRope: false },
};

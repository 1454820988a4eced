import type { Architecture } from '../architecture.ts';
import { llama } from './llama.ts';
import { refuseSlidingWindow } from './qwen2.ts';

const { gguf: _none, ...base } = llama;

/** Ouro (arXiv 2510.25741): looped natively, norms around attention and feed-forward, an exit gate after each pass. */
export const ouro: Architecture = {
  ...base,
  name: 'ouro',
  className: 'OuroForCausalLM',
  sandwichNorms: true,
  check: refuseSlidingWindow,
  loop: (config) => ({
    passes: config.count('total_ut_steps', 4),
    normAfterPass: true,
    gate: true,
    exitThreshold: config.number('early_exit_threshold', 1),
  }),
  safetensors: {
    ...llama.safetensors,
    'layers.#.attentionOutNorm': 'model.layers.#.input_layernorm_2.weight',
    'layers.#.ffnOutNorm': 'model.layers.#.post_attention_layernorm_2.weight',
    'gate.weight': 'model.early_exit_gate.weight',
    'gate.bias': 'model.early_exit_gate.bias',
  },
};

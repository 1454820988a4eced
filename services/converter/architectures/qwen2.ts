import type { Architecture } from '../architecture.ts';
import type { Fields } from '../fields.ts';
import { llama } from './llama.ts';

/** Qwen2 and Qwen2.5: biases on q, k and v only; GGUF keeps the rows of q and k in halves. */
export const qwen2: Architecture = {
  ...llama,
  name: 'qwen2',
  className: 'Qwen2ForCausalLM',
  biases: () => ({ qkv: true, output: false }),
  check: refuseSlidingWindow,
  gguf: { names: llama.gguf!.names, interleavedRope: false },
};

/** A sliding window hides old positions in some layers: refused where any layer would have one. */
export function refuseSlidingWindow(config: Fields): void {
  const types = config.raw('layer_types');
  if (Array.isArray(types)) {
    if (types.some((type) => type !== 'full_attention')) config.unsupported('layer_types', 'full_attention');
    return;
  }
  // Left out it is 4096, and only null is none.
  const none = config.keys().includes('sliding_window') && !config.has('sliding_window');
  const windowed = config.flag('use_sliding_window', false) && !none;
  if (windowed && config.number('max_window_layers', 28) < config.count('num_hidden_layers')) {
    config.unsupported('use_sliding_window', 'false');
  }
}

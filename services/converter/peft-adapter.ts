import type { AdapterTarget } from './adapters-weights.ts';
import { Fields } from './fields.ts';
import { type Source, storedName } from './source.ts';

/** Directory of a depth's factors and vectors, in the form that `peft` loads. */
export const depthDirectory = (depth: number): string => `adapters/depth_${depth}`;
export const ADAPTER_FILE = 'adapter_model.safetensors';
export const ADAPTER_CONFIG_FILE = 'adapter_config.json';
export const VECTORS_FILE = 'vectors.safetensors';

/** A linear in the model, `model.layers.0.self_attn.q_proj`. */
export const moduleName = (names: Source['names'], layer: number, target: AdapterTarget): string =>
  storedName(names, `layers.${layer}.${target}`)!.replace(/\.weight$/, '');

export const loraNames = (module: string): { readonly a: string; readonly b: string } => ({
  a: `base_model.model.${module}.lora_A.weight`,
  b: `base_model.model.${module}.lora_B.weight`,
});

/**
 * adapter_config.json for factors of these ranks, of these layers. peft multiplies B·A by alpha / r, which is 1 here: each module's alpha is
 * its rank.
 */
export function adapterConfig(ranks: ReadonlyMap<string, number>, layers: readonly number[]): object {
  const rank = Math.max(...ranks.values());
  const others = Object.fromEntries([...ranks].filter(([, own]) => own !== rank));
  return {
    peft_type: 'LORA',
    task_type: 'CAUSAL_LM',
    base_model_name_or_path: '../..',
    inference_mode: true,
    r: rank,
    lora_alpha: rank,
    rank_pattern: others,
    alpha_pattern: others,
    lora_dropout: 0,
    bias: 'none',
    fan_in_fan_out: false,
    use_rslora: false,
    use_dora: false,
    layers_to_transform: layers,
    target_modules: [...new Set([...ranks.keys()].map((module) => module.split('.').at(-1)!))],
  };
}

/** What an adapter_config.json makes of factors. */
export class AdapterScaling {
  readonly #config: Fields;

  /** @throws RondoError CHECKPOINT_UNSUPPORTED for an adapter that is more than B·A. */
  constructor(path: string, text: string) {
    const config = Fields.parse(path, text);
    if (config.text('peft_type', 'LORA') !== 'LORA') config.unsupported('peft_type', 'LORA');
    if (config.text('bias', 'none') !== 'none') config.unsupported('bias', 'none');
    for (const flag of ['use_dora', 'fan_in_fan_out'] as const) {
      if (config.flag(flag, false)) config.unsupported(flag, 'false');
    }
    if (config.has('modules_to_save')) config.unsupported('modules_to_save', 'none: they would be left out');
    this.#config = config;
  }

  /** Factor on B·A of a module whose factors have `rank`. */
  of(module: string, rank: number): number {
    const alpha = this.#alpha(module);
    return alpha / (this.#config.flag('use_rslora', false) ? Math.sqrt(rank) : rank);
  }

  /** Patterns are regular expressions for the end of a module's name, the first that fits counts. */
  #alpha(module: string): number {
    const patterns = this.#config.object('alpha_pattern');
    const key = patterns?.keys().find((pattern) => new RegExp(`^(.*\\.)?(${pattern})$`).test(module));
    return key === undefined ? this.#config.number('lora_alpha') : patterns!.number(key);
  }
}

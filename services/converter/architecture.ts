import { gemma } from './architectures/gemma.ts';
import { llama } from './architectures/llama.ts';
import { ouro } from './architectures/ouro.ts';
import { qwen2 } from './architectures/qwen2.ts';
import { qwen3 } from './architectures/qwen3.ts';
import type { Fields } from './fields.ts';
import type { Activation, NativeLoop, TensorName } from './model-spec.ts';

/** Neutral tensor name → stored name; `#` stands for the layer index. */
export type NameTable = Readonly<Record<TensorName, string>>;

/** All that is particular to one family of models. Names of tensors and fields appear here and nowhere else. */
export interface Architecture {
  /** `model_type` in config.json and `general.architecture` in GGUF. */
  readonly name: string;
  /** What `transformers` calls its causal language model. */
  readonly className: string;
  /** Accepted spellings of the activation; the first is the family's own. */
  readonly activations: Readonly<Record<string, Activation>>;
  readonly embeddingScale: (hidden: number) => number;
  readonly headNorms: boolean;
  readonly sandwichNorms: boolean;
  /** Values that config.json may leave out. */
  readonly defaults: { readonly tiedHead: boolean; readonly headDim?: number };
  /** Which projections have biases. */
  readonly biases: (config: Fields) => { readonly qkv: boolean; readonly output: boolean };
  /** Refuses settings that would change results. */
  readonly check: (config: Fields) => void;
  readonly loop?: (config: Fields) => NativeLoop;
  /** Added to norm weights as safetensors store them: 1 where the model multiplies by 1 + w. GGUF stores the sum. */
  readonly normOffset: 0 | 1;
  readonly safetensors: NameTable;
  /** Stored tensors that older files carry and nothing needs. */
  readonly ignored: readonly RegExp[];
  /** Absent where no GGUF of this family exists. */
  readonly gguf?: {
    readonly names: NameTable;
    /** Rows of q and k are stored in pairs for interleaved rotation and must be put back in halves. */
    readonly interleavedRope: boolean;
  };
}

const ARCHITECTURES: readonly Architecture[] = [llama, qwen2, qwen3, gemma, ouro];

/** Families readable from `format`, for messages. */
export const architectureNames = (format: 'safetensors' | 'gguf'): string[] =>
  ARCHITECTURES.filter(({ gguf }) => format === 'safetensors' || gguf).map(({ name }) => name);

export const findArchitecture = (name: string): Architecture | undefined =>
  ARCHITECTURES.find((architecture) => architecture.name === name);

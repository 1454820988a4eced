/** What a checkpoint computes, free of any architecture's own vocabulary. All sizes in elements. */
export interface ModelSpec {
  /** The checkpoint's own word for its architecture: `model_type` or `general.architecture`. */
  readonly architecture: string;
  readonly layers: number;
  readonly hidden: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  readonly ffn: number;
  readonly vocab: number;
  /** Longest sequence in positions. */
  readonly context: number;
  readonly normEpsilon: number;
  readonly activation: Activation;
  /** Factor on the embedding's output: √hidden for Gemma, else 1. */
  readonly embeddingScale: number;
  /** The head is the embedding matrix. */
  readonly tiedHead: boolean;
  readonly qkvBias: boolean;
  readonly outputBias: boolean;
  /** RMS norms over each query and key head (Qwen3). */
  readonly headNorms: boolean;
  /** Norms also on the outputs of attention and feed-forward (Ouro). */
  readonly sandwichNorms: boolean;
  readonly rope: RopeSpec;
  /** Present for models that were trained looped. */
  readonly loop?: NativeLoop;
  readonly bos?: number;
  /** Ids that end a generation. */
  readonly eos: readonly number[];
}

/** Wider heads are a broken file, not a model. */
export const HEAD_DIM_MAX = 8192;

export type Activation = 'silu' | 'gelu-tanh';

export interface RopeSpec {
  /** [headDim / 2] radians per position, after scaling. */
  readonly inverseFrequencies: readonly number[];
  /** Factor on cosine and sine (YaRN), else 1. */
  readonly attentionFactor: number;
}

export interface NativeLoop {
  readonly passes: number;
  /** The final norm follows every pass; its output feeds the next pass, the gate and the head. */
  readonly normAfterPass: true;
  readonly gate: boolean;
  /** Cumulative exit probability that ends a row; 1 never does. */
  readonly exitThreshold: number;
}

/**
 * Neutral name of a tensor: `embedding`, `finalNorm`, `head`, `gate.weight`, `gate.bias`, and per layer i
 * `layers.i.` + `attentionNorm`, `attentionOutNorm`, `ffnNorm`, `ffnOutNorm`, `q`, `k`, `v`, `o` (each also with
 * `.bias`), `qNorm`, `kNorm`, `gate`, `up`, `down`.
 */
export type TensorName = string;

/** Every tensor that `model` consists of, with its shape, rows first; linear weights are [out, in]. */
export function* tensorShapes(model: ModelSpec): Generator<readonly [TensorName, readonly number[]]> {
  const { hidden, vocab } = model;
  yield ['embedding', [vocab, hidden]];
  yield ['finalNorm', [hidden]];
  if (!model.tiedHead) yield ['head', [vocab, hidden]];
  if (model.loop?.gate) {
    yield ['gate.weight', [hidden]];
    yield ['gate.bias', [1]];
  }
  for (let layer = 0; layer < model.layers; layer++) {
    for (const [name, shape] of layerShapes(model)) yield [`layers.${layer}.${name}`, shape];
  }
}

function layerShapes(model: ModelSpec): (readonly [string, readonly number[]])[] {
  const { hidden, ffn, headDim } = model;
  const [queries, keys] = [model.heads * headDim, model.kvHeads * headDim];
  return [
    ['attentionNorm', [hidden]],
    ['ffnNorm', [hidden]],
    ['q', [queries, hidden]],
    ['k', [keys, hidden]],
    ['v', [keys, hidden]],
    ['o', [hidden, queries]],
    ['gate', [ffn, hidden]],
    ['up', [ffn, hidden]],
    ['down', [hidden, ffn]],
    ...(model.sandwichNorms
      ? ([
          ['attentionOutNorm', [hidden]],
          ['ffnOutNorm', [hidden]],
        ] as const)
      : []),
    ...(model.qkvBias
      ? ([
          ['q.bias', [queries]],
          ['k.bias', [keys]],
          ['v.bias', [keys]],
        ] as const)
      : []),
    ...(model.outputBias ? ([['o.bias', [hidden]]] as const) : []),
    ...(model.headNorms
      ? ([
          ['qNorm', [headDim]],
          ['kNorm', [headDim]],
        ] as const)
      : []),
  ];
}

/** The norms and biases of a layer. */
export const layerVectorNames = (model: ModelSpec, layer: number): TensorName[] =>
  layerShapes(model)
    .filter(([name]) => /norm$/i.test(name) || name.endsWith('.bias'))
    .map(([name]) => `layers.${layer}.${name}`);

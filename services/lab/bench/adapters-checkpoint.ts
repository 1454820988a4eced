import { type AdapterTarget, type Checkpoint, cappedRank, type Factors, targetShape } from '@rondo/converter';

type ModelSpec = Checkpoint['model'];

/** The sizes that make a block: what `rondo bench adapters` takes from a published model. */
export interface BlockShape {
  readonly name: string;
  readonly hidden: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  readonly ffn: number;
}

export const TINYLLAMA: BlockShape = {
  name: 'TinyLlama 1.1B',
  hidden: 2048,
  heads: 32,
  kvHeads: 4,
  headDim: 64,
  ffn: 5632,
};
export const SMOLLM2: BlockShape = {
  name: 'SmolLM2 135M',
  hidden: 576,
  heads: 9,
  kvHeads: 3,
  headDim: 64,
  ffn: 1536,
};

/** Every linear of a layer. */
export const TARGETS: readonly AdapterTarget[] = ['q', 'k', 'v', 'o', 'gate', 'up', 'down'];

const LAYERS = 2;
const VOCAB = 256;

/** What a checkpoint may have beside the shape of its block. */
export interface RandomOptions {
  /** Two unless given. */
  readonly layers?: number;
  readonly tokenizerFiles?: ReadonlyMap<string, Uint8Array>;
  readonly eos?: readonly number[];
}

/** A few layers of a shape with seeded random weights: their values do not matter to time, their number does. */
export class RandomCheckpoint implements Checkpoint {
  readonly path: string;
  readonly format = 'safetensors';
  readonly licence = 'none';
  readonly name: string;
  readonly model: ModelSpec;
  readonly tokenizerFiles: ReadonlyMap<string, Uint8Array>;
  readonly #seed: number;

  constructor(shape: BlockShape, context: number, seed: number, options: RandomOptions = {}) {
    const { name, ...sizes } = shape;
    this.name = name;
    this.path = name;
    this.#seed = seed;
    this.tokenizerFiles = options.tokenizerFiles ?? new Map();
    const frequency = (_: unknown, pair: number) => 10_000 ** ((-2 * pair) / shape.headDim);
    this.model = {
      ...sizes,
      architecture: 'llama',
      layers: options.layers ?? LAYERS,
      vocab: VOCAB,
      context,
      normEpsilon: 1e-5,
      activation: 'silu',
      embeddingScale: 1,
      tiedHead: true,
      qkvBias: false,
      outputBias: false,
      headNorms: false,
      sandwichNorms: false,
      rope: { inverseFrequencies: Array.from({ length: shape.headDim / 2 }, frequency), attentionFactor: 1 },
      eos: [...(options.eos ?? [])],
    };
  }

  async read(name: string): Promise<Float32Array> {
    const [, layer, tensor = name] = /^layers\.(\d+)\.(.+)$/.exec(name) ?? [];
    const target = TARGETS.find((known) => known === tensor);
    if (target)
      return this.#uniform(targetShape(this.model, target), Number(layer) * 16 + TARGETS.indexOf(target));
    if (tensor === 'embedding') return this.#uniform([VOCAB, this.model.hidden], 15);
    return new Float32Array(this.model.hidden).fill(1);
  }

  /** Random factors of `rank` for `convert`. */
  factorsOf(rank: number): (layer: number, depth: number, target: AdapterTarget) => Factors {
    return (layer, depth, target) => {
      const [out, columns] = targetShape(this.model, target);
      const capped = cappedRank(this.model, target, rank);
      const stream = ((depth + 1) * this.model.layers + layer) * 16 + TARGETS.indexOf(target);
      return { a: this.#uniform([capped, columns], stream), b: this.#uniform([out, capped], stream + 8) };
    };
  }

  async close(): Promise<void> {}

  /** [out, columns] values of variance 1 / columns. */
  #uniform([out, columns]: readonly [number, number], stream: number): Float32Array {
    const data = new Float32Array(out * columns);
    const size = Math.sqrt(3 / columns) / 2 ** 31;
    let word = Math.imul(this.#seed + 1, 0x9e3779b1) ^ Math.imul(stream + 1, 0x85ebca6b);
    for (let at = 0; at < data.length; at++) {
      word = (Math.imul(word, 1664525) + 1013904223) | 0;
      data[at] = word * size;
    }
    return data;
  }
}

/** What factors of `rank` add to the multiplications of one row in one layer, as a share of them. */
export function rankShare(model: ModelSpec, rank: number): number {
  let [base, added] = [0, 0];
  for (const target of TARGETS) {
    const [out, columns] = targetShape(model, target);
    base += out * columns;
    added += cappedRank(model, target, rank) * (out + columns);
  }
  return added / base;
}

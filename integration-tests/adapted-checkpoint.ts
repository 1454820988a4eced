import { type AdapterTarget, type Checkpoint, cappedRank, type Factors, targetShape } from '@rondo/converter';

type ModelSpec = Checkpoint['model'];

export const ALL_TARGETS: readonly AdapterTarget[] = ['q', 'k', 'v', 'o', 'gate', 'up', 'down'];

/** `uneven`: from 1 to 7, another one for every layer, depth and linear. */
export type Rank = number | 'uneven';

/** Random factors large enough to change what a tiny model says, the same for the same place at every call. */
export class TinyFactors {
  readonly #model: ModelSpec;
  readonly #rank: Rank;

  constructor(model: ModelSpec, rank: Rank) {
    this.#model = model;
    this.#rank = rank;
  }

  readonly factorsOf = (layer: number, depth: number, target: AdapterTarget): Factors => {
    const [out, columns] = targetShape(this.#model, target);
    const wanted = this.#rank === 'uneven' ? 1 + ((layer + 3 * depth + 5 * out) % 7) : this.#rank;
    const rank = cappedRank(this.#model, target, wanted);
    const seed = ((layer * 16 + depth) * 8 + ALL_TARGETS.indexOf(target)) * 2;
    return {
      a: uniform(seed, rank * columns, Math.sqrt(3 / columns)),
      b: uniform(seed + 1, out * rank, Math.sqrt(0.3 / rank)),
    };
  };
}

/** `count` values within ±size. */
function uniform(seed: number, count: number, size: number): Float32Array {
  let word = (seed * 2654435761 + 12345) >>> 0;
  return Float32Array.from({ length: count }, () => {
    word = (Math.imul(word, 1664525) + 1013904223) >>> 0;
    return (word / 2 ** 31 - 1) * size;
  });
}

interface Loop {
  readonly loopLayers: { readonly first: number; readonly last: number };
  readonly loops: number;
}

/**
 * `base` written out: the layers of the loop once for every pass, each linear already W + B_d·A_d. Multiplied plainly
 * here, apart from the converter's graphs.
 */
export class MergedCheckpoint implements Checkpoint {
  readonly path: string;
  readonly format: Checkpoint['format'];
  readonly licence: string;
  readonly name: string;
  readonly model: ModelSpec;
  readonly tokenizerFiles: Checkpoint['tokenizerFiles'];
  readonly #base: Checkpoint;
  readonly #loop: Loop;
  readonly #factors: TinyFactors;
  readonly #targets: readonly AdapterTarget[];

  constructor(base: Checkpoint, loop: Loop, factors: TinyFactors, targets: readonly AdapterTarget[]) {
    const { first, last } = loop.loopLayers;
    this.path = base.path;
    this.format = base.format;
    this.licence = base.licence;
    this.name = base.name;
    this.tokenizerFiles = base.tokenizerFiles;
    this.model = { ...base.model, layers: base.model.layers + (loop.loops - 1) * (last - first + 1) };
    this.#base = base;
    this.#loop = loop;
    this.#factors = factors;
    this.#targets = targets;
  }

  async read(name: string): Promise<Float32Array> {
    const [, index, tensor] = /^layers\.(\d+)\.(.+)$/.exec(name) ?? [];
    if (index === undefined || tensor === undefined) return this.#base.read(name);
    const { layer, depth } = this.#source(Number(index));
    const data = await this.#base.read(`layers.${layer}.${tensor}`);
    const target = this.#targets.find((adapted) => adapted === tensor);
    if (depth === undefined || target === undefined) return data;
    const { a, b } = this.#factors.factorsOf(layer, depth, target);
    const [, columns] = targetShape(this.model, target);
    const rank = a.length / columns;
    return data.map((weight, at) => {
      const [row, column] = [Math.floor(at / columns), at % columns];
      let sum = weight;
      for (let k = 0; k < rank; k++) sum += b[row * rank + k]! * a[k * columns + column]!;
      return sum;
    });
  }

  async close(): Promise<void> {}

  /** Which layer of the base, and in which pass when it lies inside the loop. */
  #source(index: number): { layer: number; depth?: number } {
    const { first, last } = this.#loop.loopLayers;
    const size = last - first + 1;
    if (index < first) return { layer: index };
    const depth = Math.floor((index - first) / size);
    if (depth < this.#loop.loops) return { layer: first + ((index - first) % size), depth };
    return { layer: index - (this.#loop.loops - 1) * size };
  }
}

import { RondoError } from '@rondo/core';
import type { AdapterTarget } from './adapters-weights.ts';
import type { Checkpoint, TensorName } from './checkpoint.ts';
import { type LoopPlan, sourceLayer } from './loop-plan.ts';
import { seededNormal } from './seeded-normal.ts';
import type { TiedLayers } from './tied-layers.ts';

/** Standard deviation of `random` matrices: what the Llama family's own initialiser takes (`initializer_range`). */
const RANDOM_DEVIATION = 0.02;

const isNorm = (tensor: string): boolean => /norm$/i.test(tensor);
const isBias = (tensor: string): boolean => tensor.endsWith('.bias');

/**
 * A checkpoint whose loop was tied: the layers that are kept, then the shared layers W', then the layers that are kept,
 * numbered as they are written. What is outside the loop is the source's own.
 */
export class TiedCheckpoint implements Checkpoint {
  readonly path: string;
  readonly format: Checkpoint['format'];
  readonly licence: string;
  readonly name: string;
  readonly model: Checkpoint['model'];
  readonly config: Checkpoint['config'];
  readonly tokenizerFiles: Checkpoint['tokenizerFiles'];
  readonly source: Checkpoint;
  readonly plan: LoopPlan;
  readonly #tied: TiedLayers;

  constructor(source: Checkpoint, plan: LoopPlan) {
    if (!plan.tied) throw new RondoError('INTERNAL', `${source.path}: the plan ties no layers`);
    this.path = source.path;
    this.format = source.format;
    this.licence = source.licence;
    this.name = source.name;
    this.tokenizerFiles = source.tokenizerFiles;
    this.config = source.config;
    this.model = { ...source.model, layers: plan.prelude.length + plan.block.length + plan.coda.length };
    this.source = source;
    this.plan = plan;
    this.#tied = plan.tied;
  }

  async read(name: TensorName): Promise<Float32Array> {
    const found = /^layers\.(\d+)\.(.+)$/.exec(name);
    if (!found) return this.source.read(name);
    const [layer, tensor] = [Number(found[1]), found[2]!];
    const place = this.plan.block.indexOf(layer);
    return place < 0 ? this.sourceTensor(layer, 0, tensor) : this.#shared(place, tensor);
  }

  /** The tensor that a written layer stands for at a depth. */
  sourceTensor(layer: number, depth: number, tensor: string): Promise<Float32Array> {
    return this.source.read(`layers.${sourceLayer(this.plan, layer, depth)}.${tensor}`);
  }

  /** W_l − W'_k, [out, in]: what `layer` lacks at `depth` to be the layer l that it stands for. */
  async residual(layer: number, depth: number, target: AdapterTarget): Promise<Float32Array> {
    const shared = await this.read(`layers.${layer}.${target}`);
    const own = await this.sourceTensor(layer, depth, target);
    return own.map((weight, at) => weight - shared[at]!);
  }

  /** Lets go of nothing: the source is closed by whoever opened it. */
  async close(): Promise<void> {}

  async #shared(place: number, tensor: string): Promise<Float32Array> {
    const { init, initNorms, kept, sources } = this.#tied;
    const of = (layer: number) => this.source.read(`layers.${layer}.${tensor}`);
    if (kept) return of(kept[place]!);
    if (init === 'random') return this.#random(place, tensor, await of(sources[place]![0]!));
    if (isNorm(tensor) && initNorms === 'choice') return of(sources[place]![0]!);
    if (isNorm(tensor) && initNorms === 'zero') return (await of(sources[place]![0]!)).fill(1);
    const sum = Float64Array.from(await of(sources[place]![0]!));
    for (const layer of sources[place]!.slice(1)) {
      (await of(layer)).forEach((weight, at) => {
        sum[at]! += weight;
      });
    }
    return Float32Array.from(sum, (total) => total / sources[place]!.length);
  }

  /** Norms of 1, biases of 0, matrices N(0, 0.02²), each from a seed of its own. `like` is overwritten. */
  #random(place: number, tensor: string, like: Float32Array): Float32Array {
    if (isNorm(tensor)) return like.fill(1);
    if (isBias(tensor)) return like.fill(0);
    const draw = seededNormal(`${this.#tied.initSeed} ${place} ${tensor}`);
    return like.map(() => RANDOM_DEVIATION * draw());
  }
}

import { type Bundle, bundlePath } from '@rondo/bundle';
import { RondoError } from '@rondo/core';
import { plainFactors, storedRank } from './adapters-reading.ts';
import {
  type AdapterTarget,
  type Factors,
  PACKED,
  type PackedFactors,
  type PackedName,
  targetShape,
} from './adapters-weights.ts';
import { MODEL_FILE, type ModelFile, readModelFile } from './model-file.ts';
import type { ModelSpec, TensorName } from './model-spec.ts';
import { isPerDepth, type LayerWeights, type LinearWeights, type Vector } from './model-weights.ts';
import { dequantizeBlocks, dequantizeChannels } from './quantize.ts';
import { WeightsReader } from './weights-reader.ts';

/** A bundle read back tensor by tensor, under the neutral names of a checkpoint. */
export class BundleCheckpoint {
  readonly model: ModelSpec;
  readonly file: ModelFile;
  readonly #reader: WeightsReader;

  private constructor(file: ModelFile, reader: WeightsReader) {
    this.model = file.model;
    this.file = file;
    this.#reader = reader;
  }

  /** @throws RondoError BUNDLE_INVALID for a bundle that does not say where its weights lie. */
  static async open(bundle: Bundle): Promise<BundleCheckpoint> {
    const { model } = bundle.manifest;
    if (model === undefined) {
      throw new RondoError(
        'BUNDLE_INVALID',
        `${bundle.directory}: has no ${MODEL_FILE}, as bundles of older versions; convert its checkpoint again`,
      );
    }
    const file = await readModelFile(bundlePath(bundle, model));
    return new BundleCheckpoint(
      file,
      await WeightsReader.open(bundlePath(bundle, file.weights.embedding.file)),
    );
  }

  close(): Promise<void> {
    return this.#reader.close();
  }

  /**
   * One tensor as f32, as `Checkpoint.read`, linears dequantised. Of what a layer has once for each depth, the one of
   * `depth`.
   */
  async read(name: TensorName, depth = 0): Promise<Float32Array> {
    const { weights } = this.file;
    const [, layer, tensor] = /^layers\.(\d+)\.(.+)$/.exec(name) ?? [];
    if (layer !== undefined) return this.#ofLayer(weights.layers[Number(layer)]!, tensor!, depth);
    switch (name) {
      case 'embedding':
        return this.#reader.floats(weights.embedding);
      case 'finalNorm':
        return this.#reader.floats(weights.finalNorm);
      case 'head':
        return this.#matrix(weights.head);
      case 'gate.weight':
        return weights.exitGate!.weight;
      case 'gate.bias':
        return Float32Array.of(weights.exitGate!.bias);
      default:
        throw new RondoError('INTERNAL', `a bundle has no tensor ${name}`);
    }
  }

  /** Factors of a layer of the block at a depth. */
  factors(layer: number, depth: number, target: AdapterTarget): Promise<Factors> {
    const shape = targetShape(this.model, target);
    return plainFactors(this.#reader, this.#packed(layer, target), target, depth, shape);
  }

  rankOf(layer: number, depth: number, target: AdapterTarget): number {
    return storedRank(this.#packed(layer, target), target, depth);
  }

  #packed(layer: number, target: AdapterTarget): PackedFactors {
    return this.file.adapters!.layers[layer]![packedOf(target)]!;
  }

  async #ofLayer(layer: LayerWeights, tensor: string, depth: number): Promise<Float32Array> {
    switch (tensor) {
      case 'attentionNorm':
      case 'attentionOutNorm':
      case 'ffnNorm':
      case 'ffnOutNorm':
        return this.#vector(layer[tensor]!, depth);
      case 'qNorm':
      case 'kNorm':
        return this.#headNorm(layer, tensor, depth);
    }
    const target = tensor.replace('.bias', '') as AdapterTarget;
    const linear = linearOf(layer, target);
    const whole = tensor.endsWith('.bias')
      ? await this.#vector(linear.bias!, depth)
      : await this.#matrix(linear);
    return this.#rowsOf(whole, target);
  }

  /** The rows of one target out of its packed linear's. */
  #rowsOf(whole: Float32Array, target: AdapterTarget): Float32Array {
    const sizes = PACKED[packedOf(target)].map((name) => ({ name, rows: targetShape(this.model, name)[0] }));
    const rows = sizes.reduce((sum, size) => sum + size.rows, 0);
    const width = whole.length / rows;
    const at = sizes.findIndex(({ name }) => name === target);
    const first = sizes.slice(0, at).reduce((sum, size) => sum + size.rows, 0);
    return whole.slice(first * width, (first + sizes[at]!.rows) * width);
  }

  async #headNorm(layer: LayerWeights, tensor: 'qNorm' | 'kNorm', depth: number): Promise<Float32Array> {
    const { heads, headDim } = this.model;
    const first = tensor === 'qNorm' ? 0 : heads * headDim;
    return (await this.#vector(layer.headNorms!, depth)).slice(first, first + headDim);
  }

  #vector(ref: Vector, depth: number): Promise<Float32Array> {
    if (!isPerDepth(ref)) return this.#reader.floats(ref);
    const bytes = ref.bytes / ref.dims[0]!;
    return this.#reader.floats({ ...ref, offset: ref.offset + depth * bytes, bytes });
  }

  async #matrix({ matrix, out, columns }: LinearWeights): Promise<Float32Array> {
    switch (matrix.kind) {
      case 'dense':
        return this.#reader.floats(matrix.weight);
      case 'channels': {
        const [data, scales] = [
          await this.#reader.signed(matrix.data),
          await this.#reader.floats(matrix.scales),
        ];
        return dequantizeChannels({ data, scales }, out, columns);
      }
      case 'blocks': {
        const data = await this.#reader.bytes(matrix.data);
        const scales = await this.#reader.floats(matrix.scales);
        const zeroPoints = await this.#reader.bytes(matrix.zeroPoints);
        return dequantizeBlocks(
          { bits: matrix.bits, data, scales, zeroPoints, blocks: scales.length / out },
          out,
          columns,
        );
      }
    }
  }
}

const packedOf = (target: AdapterTarget): PackedName =>
  (Object.keys(PACKED) as PackedName[]).find((name) => (PACKED[name] as readonly string[]).includes(target))!;

function linearOf({ qkv, output, gateUp, down }: LayerWeights, target: AdapterTarget): LinearWeights {
  return { qkv, o: output, gate_up: gateUp, down }[packedOf(target)];
}

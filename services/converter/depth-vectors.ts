import type { TensorName } from './checkpoint.ts';
import type { TiedCheckpoint } from './loop-init.ts';

/** Vectors that layers have once for each depth: norm weights and biases. */
export interface DepthVectors {
  readonly depths: number;
  /** Written layers that have them. */
  readonly layers: ReadonlySet<number>;
  /** As `Checkpoint.read`, at a depth. */
  read(name: TensorName, depth: number): Promise<Float32Array>;
}

/** Every depth of a tied block keeps the norms and biases of the layer that it stands for. */
export const tiedVectors = (tied: TiedCheckpoint): DepthVectors => ({
  depths: tied.plan.maxDepth,
  layers: new Set(tied.plan.block),
  read(name, depth) {
    const [, layer, tensor] = /^layers\.(\d+)\.(.+)$/.exec(name)!;
    return tied.sourceTensor(Number(layer), depth, tensor!);
  },
});

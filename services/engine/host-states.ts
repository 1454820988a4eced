import { Tensor } from 'onnxruntime-node';
import type { StackBatch } from './engine.ts';
import { type GraphStates, type LeftStates, pad, unpad } from './graph-states.ts';

/** States in this process' memory: they come with a batch and go with its result. */
export class HostStates implements GraphStates {
  readonly #hidden: number;

  constructor(hidden: number) {
    this.#hidden = hidden;
  }

  enter(batch: StackBatch, padded: number): Tensor {
    const dims = [batch.starts.length * padded, this.#hidden];
    return new Tensor('float32', pad(batch, new Float32Array(dims[0]! * dims[1]!), dims[1]!, padded), dims);
  }

  leave(batch: StackBatch, padded: number, out: Tensor): LeftStates {
    return { state: unpad(batch, out.data as Float32Array, this.#hidden, padded) };
  }
}

import type { WeightRef } from './graph.ts';
import { TensorFile } from './tensor-file.ts';

/** Reads tensors back from a bundle's external data file. */
export class WeightsReader {
  readonly #file: TensorFile;

  private constructor(file: TensorFile) {
    this.#file = file;
  }

  static async open(path: string): Promise<WeightsReader> {
    return new WeightsReader(await TensorFile.open(path));
  }

  async floats(ref: WeightRef): Promise<Float32Array> {
    const { buffer, byteOffset } = await this.bytes(ref);
    return new Float32Array(buffer, byteOffset, ref.bytes / 4);
  }

  async signed(ref: WeightRef): Promise<Int8Array> {
    const { buffer, byteOffset } = await this.bytes(ref);
    return new Int8Array(buffer, byteOffset, ref.bytes);
  }

  bytes({ offset, bytes }: WeightRef): Promise<Buffer> {
    return this.#file.bytes(offset, bytes, 'a weight');
  }

  close(): Promise<void> {
    return this.#file.close();
  }
}

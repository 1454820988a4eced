import { Tensor } from 'onnxruntime-node';

/**
 * A reused int64 input. Values are written as the low words through an Int32Array view: storing BigInts one by one is
 * slow, and every index here is a small non-negative number.
 */
export class Int64Feed {
  #words = new Int32Array(0);

  tensor(values: Int32Array, dims: readonly number[]): Tensor {
    if (this.#words.length < values.length * 2) this.#words = new Int32Array(values.length * 4);
    for (let index = 0; index < values.length; index++) {
      this.#words[index * 2] = values[index]!;
      this.#words[index * 2 + 1] = values[index]! < 0 ? -1 : 0;
    }
    return new Tensor('int64', new BigInt64Array(this.#words.buffer, 0, values.length), [...dims]);
  }
}

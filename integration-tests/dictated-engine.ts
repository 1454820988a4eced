import type { Engine, HeadBatch, HeadResult } from '@rondo/engine';

/** A real engine whose every row of logits is kept, and whose sampler hears the next dictated token. For one sequence. */
export class DictatedEngine implements Engine {
  readonly description;
  readonly runStack: Engine['runStack'];
  readonly propagate: Engine['propagate'];
  readonly poison: Engine['poison'];
  readonly close: Engine['close'];
  /** [rows] of [vocab], in the order of the head's runs. */
  readonly logits: Float32Array[] = [];
  readonly #engine: Engine;
  readonly #ids: readonly number[];

  constructor(engine: Engine, ids: readonly number[]) {
    this.#engine = engine;
    this.#ids = ids;
    this.description = engine.description;
    this.runStack = (batch) => engine.runStack(batch);
    this.propagate = (batch) => engine.propagate(batch);
    this.poison = (stack, pages) => engine.poison(stack, pages);
    this.close = () => engine.close();
  }

  async runHead({ state }: HeadBatch): Promise<HeadResult> {
    const result = await this.#engine.runHead({ state, wantLogits: true });
    const rows = result.logSumExp.length;
    const width = result.topIds.length / rows;
    const vocab = result.logits!.length / rows;
    for (let row = 0; row < rows; row++) {
      const id = this.#ids[this.logits.length];
      if (id !== undefined) result.topIds[row * width] = id;
      this.logits.push(result.logits!.subarray(row * vocab, (row + 1) * vocab));
    }
    return result;
  }
}

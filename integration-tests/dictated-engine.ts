import {
  type Engine,
  type HeadBatch,
  type HeadResult,
  pickRows,
  type StackBatch,
  type StackResult,
} from '@rondo/engine';

/** A real engine whose every row of logits is kept, and whose sampler hears the next dictated token. For one sequence. */
export class DictatedEngine implements Engine {
  readonly description;
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
    this.propagate = (batch) => engine.propagate(batch);
    this.poison = (stack, pages) => engine.poison(stack, pages);
    this.close = () => engine.close();
  }

  async runStack({ head, ...batch }: StackBatch): Promise<StackResult> {
    const rows = batch.rowCounts.reduce((sum, count) => sum + count, 0);
    const result = await this.#engine.runStack(batch);
    if (!head) return result;
    const hidden = result.state.length / rows;
    // The engine takes what it is given, and the state is the caller's.
    const state = pickRows(result.state, head.rows, hidden).slice();
    return { ...result, head: await this.runHead({ ...head, state }) };
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

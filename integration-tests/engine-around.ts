import type { Engine, StackBatch, StackResult } from '@rondo/engine';

/** A real engine, for classes that do something more, or else, around its runs. */
export class EngineAround implements Engine {
  readonly description;
  readonly failed;
  readonly runHead: Engine['runHead'];
  readonly propagate: Engine['propagate'];
  readonly poison: Engine['poison'];
  readonly close: Engine['close'];
  readonly #engine: Engine;

  constructor(engine: Engine) {
    this.#engine = engine;
    this.failed = engine.failed;
    this.description = engine.description;
    this.runHead = (batch) => engine.runHead(batch);
    this.propagate = (batch) => engine.propagate(batch);
    this.poison = (stack, pages) => engine.poison(stack, pages);
    this.close = () => engine.close();
  }

  runStack(batch: StackBatch): Promise<StackResult> {
    return this.#engine.runStack(batch);
  }
}

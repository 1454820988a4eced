import { RondoError } from '@rondo/core';
import type { Engine, StackBatch, StackResult } from '@rondo/engine';
import { EngineAround } from './engine-around.ts';

/** `hang`: a run never ends. `throw`: a run fails, those after it are well. `end`: the engine's thread ends in the middle of a run. */
export const ENGINE_FAULTS = ['hang', 'throw', 'end'] as const;
export type EngineFault = (typeof ENGINE_FAULTS)[number];

/** A real engine that fails in a run of the block once it is told to. */
export class FaultyEngine extends EngineAround {
  readonly #end: () => void;
  #fault: EngineFault | undefined;

  /** `end` ends the thread behind `engine`. */
  constructor(engine: Engine, end: () => void) {
    super(engine);
    this.#end = end;
  }

  strike(fault: EngineFault): void {
    this.#fault = fault;
  }

  override async runStack(batch: StackBatch): Promise<StackResult> {
    const fault = batch.stack === 'block' ? this.#fault : undefined;
    if (fault === 'hang') return new Promise(() => {});
    if (fault === 'throw') {
      this.#fault = undefined;
      throw new RondoError('ENGINE_FAILED', 'a run was struck');
    }
    if (fault === 'end') this.#end();
    return super.runStack(batch);
  }
}

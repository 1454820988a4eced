import { RondoError, type SequenceId } from '@rondo/core';
import type { GenerateStreamEvent } from '@rondo/wire';
import { Opening, type OpeningOptions } from './opening.ts';
import { SequenceLife, type SequenceRequest, type WhenFull } from './sequence-life.ts';

/** Brings sequences from prompt to last token, over as many workers as it takes. */
export class Generation {
  readonly #options: OpeningOptions;
  readonly #opening: Opening;

  constructor(options: OpeningOptions) {
    this.#options = options;
    this.#opening = new Opening(options);
  }

  /** Sequences that wait in line for room. */
  get waiting(): number {
    return this.#opening.waiting;
  }

  /** Share of all KV positions that is held, as far as this coordinator knows, 0 to 1; 1 without a worker. */
  get reservedShare(): number {
    const view = this.#options.membership.view();
    const total = view.reduce((sum, { totalPositions }) => sum + totalPositions, 0);
    const held = view.map((worker) =>
      Math.max(worker.reservedPositions, worker.totalPositions - worker.freePositions),
    );
    const reserved = held.reduce((sum, positions) => sum + positions, 0);
    return total === 0 ? 1 : Math.min(1, reserved / total);
  }

  /**
   * The events of one sequence: `opened` first, tokens 0, 1, 2 … exactly once and in order, `finished` last. Anything of another
   * epoch, and tokens seen before, are dropped and counted. A sequence whose worker is lost goes on where it was on
   * another; one whose worker drains moves at once, be it in the middle of its prompt. Ending the iteration cancels the worker's call, and
   * counts as a stop unless `signal` is raised.
   * @throws RondoError as `Opening.open` does; what its last worker failed with when nothing helps; CANCELLED when `signal`
   * is raised.
   */
  async *run(
    id: SequenceId,
    request: SequenceRequest,
    signal: AbortSignal,
    whenFull: WhenFull = 'wait',
  ): AsyncGenerator<GenerateStreamEvent, void, undefined> {
    const { membership, metrics, clock } = this.#options;
    const watch = metrics.watch(
      request.promptIds.length,
      request.exit.maxDepth,
      clock,
      request.timeline?.traceId,
    );
    const life = new SequenceLife(id, request, signal, whenFull, this.#options, this.#opening, watch);
    const unsubscribe = [
      membership.onChange(() => life.disturb()),
      membership.onPulse((movement) => life.moved(movement)),
    ];
    let left = true;
    try {
      yield await life.open();
      while (!life.finished) yield await life.next();
      left = false;
    } catch (thrown) {
      left = false;
      if (signal.aborted) throw new RondoError('CANCELLED', 'the request was cancelled', { cause: thrown });
      const { code } = RondoError.from(thrown);
      watch.failed(code);
      request.timeline?.failed(code);
      throw thrown;
    } finally {
      for (const end of unsubscribe) end();
      if (left && !life.finished && !signal.aborted) life.sufficed();
      await life.close();
      watch.end();
      request.timeline?.end();
    }
  }
}

import type { Bundle } from '@rondo/bundle';
import { pickRows } from '@rondo/engine';
import type { Head } from './head.ts';
import { type Decode, type Decoded, decodeRows } from './live-rows.ts';
import type { PagedSequence, Sequence } from './paged-sequence.ts';
import { pieceOf, StackRuns, type StackRunsOptions } from './stack-runs.ts';

/** The next rows of one sequence. */
export interface Append {
  readonly sequence: Sequence;
  readonly ids: readonly number[];
  /** How many of the last of these rows go through the head. */
  readonly heads: number;
}

/**
 * Many sequences side by side on a bare engine: the model as it is served, without what serving needs. Rows of a prompt
 * run every pass, and the model may be read after each of them; decoded rows leave by their rule, and deeper passes see of
 * them what the bundle's kvPolicy says. Calls must not overlap.
 */
export class Sequences {
  readonly bundle: Bundle;
  readonly #runs: StackRuns;

  private constructor(runs: StackRuns) {
    this.bundle = runs.bundle;
    this.#runs = runs;
  }

  /** @throws RondoError CONFIG_INVALID when so many pages do not fit `LIMITS.evalKvBytes`, or from the engine. */
  static async open(bundle: Bundle, options: StackRunsOptions): Promise<Sequences> {
    return new Sequences(await StackRuns.open(bundle, options));
  }

  create(): Sequence {
    return this.#runs.create();
  }

  /** A sequence with the same rows. Full pages are shared; what lies in others is copied before the next run. */
  fork(from: Sequence): Sequence {
    return this.#runs.fork(from as PagedSequence);
  }

  /** Gives the pages of `sequence` back; it must not be used again. */
  release(sequence: Sequence): void {
    this.#runs.release(sequence as PagedSequence);
  }

  /**
   * Appends rows, at most `LIMITS.evalRows` in all, that run every pass. After each number of passes in `exits` (rising) `read` is
   * told what the head says of the last `heads` rows of each append, in order, as if the loop ended there for all rows.
   */
  async append(
    appends: readonly Append[],
    exits: readonly number[],
    read: (passes: number, heads: readonly Head[]) => void,
  ): Promise<void> {
    const { maxDepth, shape } = this.bundle.manifest;
    const pieces = appends.map(({ sequence, ids }) => pieceOf(sequence, ids));
    const asked = lastRows(appends);
    let state = await this.#runs.prelude(pieces);
    for (let passes = 1; passes <= maxDepth; passes++) {
      const pass = await this.#runs.block(state, passes - 1, pieces);
      state = pass.state;
      if (!exits.includes(passes)) continue;
      const keep = Float32Array.from(state);
      const last = await this.#runs.coda(state, passes, pieces);
      const heads = await this.#runs.heads(pickRows(last, asked, shape.hidden));
      read(
        passes,
        heads.map((head, at) => ({
          ...head,
          gate: pass.gate?.[asked[at]!],
          latentDiff: pass.latentDiff?.[asked[at]!],
        })),
      );
      state = keep;
    }
    for (const { sequence, rows } of pieces) sequence.length += rows;
  }

  /** Appends one row each, all of different sequences, whose exits are live. */
  decode(decodes: readonly Decode[]): Promise<Decoded[]> {
    return decodeRows(this.#runs, decodes);
  }

  async close(): Promise<void> {
    await this.#runs.close();
  }
}

/** Of the rows of all appends, which the head is asked about. */
function lastRows(appends: readonly Append[]): number[] {
  let end = 0;
  return appends.flatMap(({ ids, heads }) => {
    end += ids.length;
    return Array.from({ length: heads }, (_, at) => end - heads + at);
  });
}

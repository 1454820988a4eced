import { closeSync, openSync, readSync } from 'node:fs';
import { type Bundle, bundlePath, type Manifest } from '@rondo/bundle';
import { RondoError } from '@rondo/core';
import type { Attention, StackBatch, StackResult } from './engine.ts';

/** Whether the prelude is `EmbeddingTable`, which the engine's owner reads, and no stack of the engine's thread. */
export const readsEmbedding = ({ embedding, layers }: Manifest, attention: Attention): boolean =>
  embedding !== undefined && layers.prelude === 0 && attention === 'pages';

/**
 * A prelude without layers: ids to rows, read one by one from the bundle's file. The graph that does the same maps the
 * table, and every row it touches brings its neighbours into the resident memory. (ADR 24)
 */
export class EmbeddingTable {
  readonly #path: string;
  readonly #file: number;
  readonly #place: NonNullable<Manifest['embedding']>;
  readonly #shape: Manifest['shape'];

  private constructor(bundle: Bundle, place: NonNullable<Manifest['embedding']>) {
    this.#path = bundlePath(bundle, place.file);
    try {
      this.#file = openSync(this.#path, 'r');
    } catch (cause) {
      throw new RondoError('BUNDLE_INVALID', `${this.#path}: cannot be opened: ${(cause as Error).message}`, {
        cause,
      });
    }
    this.#place = place;
    this.#shape = bundle.manifest.shape;
  }

  /**
   * Undefined for a bundle whose prelude is more than this, or runs as a graph.
   * @throws RondoError BUNDLE_INVALID for a file that cannot be opened.
   */
  static open(bundle: Bundle, attention: Attention): EmbeddingTable | undefined {
    if (!readsEmbedding(bundle.manifest, attention)) return undefined;
    return new EmbeddingTable(bundle, bundle.manifest.embedding!);
  }

  /** @throws RondoError ENGINE_FAILED for an id outside the vocabulary or a row that the file does not hold. */
  run({ input }: StackBatch): StackResult {
    const { hidden, vocab } = this.#shape;
    const { offset, scale } = this.#place;
    const begin = performance.now();
    const state = new Float32Array(input.length * hidden);
    const bytes = new Uint8Array(state.buffer);
    const rowBytes = hidden * 4;
    input.forEach((id, row) => {
      if (!(id >= 0 && id < vocab)) {
        throw new RondoError('ENGINE_FAILED', `token id ${id}: expected one of 0…${vocab - 1}`);
      }
      const read = readSync(this.#file, bytes, row * rowBytes, rowBytes, offset + id * rowBytes);
      if (read !== rowBytes) {
        throw new RondoError('ENGINE_FAILED', `${this.#path}: ends within the embedding of id ${id}`);
      }
    });
    if (scale !== 1) for (let at = 0; at < state.length; at++) state[at] = state[at]! * scale;
    return { state, runMs: performance.now() - begin };
  }

  release(): void {
    closeSync(this.#file);
  }
}

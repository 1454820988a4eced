import { concatenated, RondoError } from '@rondo/core';
import type { MicrobatchChunk } from '@rondo/wire';
import { rowsOf } from './batch.ts';
import type { Tenant } from './tenant.ts';

/** Chunks that came in parts, put together again. One link's: there the parts of a chunk are not mixed with the sequence's other rows. */
export class Arrivals {
  readonly #parts = new WeakMap<Tenant, MicrobatchChunk[]>();

  /**
   * The chunk that `part` completes, or undefined while more of it is to come.
   * @throws RondoError PROTOCOL_MISMATCH when it does not go on where the part before it ended.
   */
  join(tenant: Tenant, part: MicrobatchChunk): MicrobatchChunk | undefined {
    const before = this.#parts.get(tenant) ?? [];
    const last = before.at(-1);
    const goesOn =
      last &&
      last.start + last.rows === part.start &&
      last.depth === part.depth &&
      last.rest === part.rows + part.rest;
    if (last && !goesOn) {
      throw new RondoError(
        'PROTOCOL_MISMATCH',
        `${part.rows} rows at position ${part.start} and depth ${part.depth} do not go on a chunk that stands at ${last.start + last.rows} and depth ${last.depth}`,
      );
    }
    if (part.rest > 0) {
      this.#parts.set(tenant, [...before, part]);
      return undefined;
    }
    if (!last) return part;
    this.#parts.delete(tenant);
    return joined([...before, part]);
  }
}

const joined = (parts: readonly MicrobatchChunk[]): MicrobatchChunk => ({
  ...parts[0]!,
  rows: rowsOf(parts),
  rest: 0,
  state: concatenated(parts.map(({ state }) => state)),
});

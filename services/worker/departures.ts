import type { Address } from '@rondo/core';
import type { ChunkKind } from '@rondo/wire';
import type { Chunk } from './chunk.ts';
import type { OutgoingChunk } from './outbox.ts';

/** Chunks that leave for other workers when a run is settled: what goes to one of them goes together. */
export class Departures {
  readonly #byAddress = new Map<Address, OutgoingChunk[]>();

  /** `chunk` leaves for the worker at `address` with the states of its rows. */
  add(address: Address, chunk: Chunk, kind: ChunkKind): void {
    const { tenant, passes: depth, start, rows, survival } = chunk;
    const { sequenceId, route } = tenant;
    const microbatch = this.#byAddress.get(address) ?? [];
    this.#byAddress.set(address, microbatch);
    const state = chunk.input as Float32Array;
    const generated = tenant.isGenerated(start);
    // What runs at home needs no way there.
    const told = tenant.kind === 'stage' ? tenant.recorder?.take() : undefined;
    microbatch.push({
      sequenceId,
      epoch: route.epoch,
      kind,
      depth,
      start,
      rows,
      rest: 0,
      survival,
      state,
      generated,
      ...(told && { told }),
    });
  }

  /** Puts everything where it waits for its link. */
  leave(by: { put(to: Address, chunks: readonly OutgoingChunk[]): void }): void {
    for (const [address, microbatch] of this.#byAddress) by.put(address, microbatch);
  }
}

import type { SequenceId } from '@rondo/core';
import { type Activations, type MicrobatchChunk, rowsPerFrame } from '@rondo/wire';

/** A chunk on its way to another worker. */
export interface OutgoingChunk extends MicrobatchChunk {
  /** Rows of tokens being generated: they go before prompts. */
  readonly generated: boolean;
}

/**
 * Chunks that wait for one link, in two lanes: generated rows overtake prompts, but not their own, behind which those of a sequence that
 * recovers come at once. So a sequence's order at each depth stays.
 */
export class Outbox {
  readonly #activations: Activations;
  #generated: OutgoingChunk[] = [];
  #prompts: OutgoingChunk[] = [];

  constructor(activations: Activations) {
    this.#activations = activations;
  }

  put(chunk: OutgoingChunk): void {
    const overtakes = chunk.generated && !this.#prompts.some(isOf(chunk));
    (overtakes ? this.#generated : this.#prompts).push(chunk);
  }

  get empty(): boolean {
    return this.#generated.length === 0 && this.#prompts.length === 0;
  }

  /** The chunks of the next frame, at most `credit` rows; one that is longer than the frame or the credit goes in parts. */
  take(credit: number): MicrobatchChunk[] {
    const frame: MicrobatchChunk[] = [];
    let room = credit;
    for (const lane of [this.#generated, this.#prompts]) {
      for (let chunk = lane[0]; chunk; chunk = lane[0]) {
        if (frame.length === 0) room = Math.min(credit, rowsPerFrame(hiddenOf(chunk), this.#activations));
        if (room === 0 || (chunk.rows > room && frame.length > 0)) return frame;
        const { generated: _, ...part } = chunk.rows > room ? cut(chunk, room) : chunk;
        frame.push(part);
        room -= part.rows;
        if (part.rest > 0) lane[0] = tail(chunk, part.rows);
        else lane.shift();
      }
    }
    return frame;
  }

  /** Forgets what waits of a sequence that has ended. */
  drop(sequenceId: SequenceId, epoch: number): void {
    const ended = isOf({ sequenceId, epoch });
    const stays = (chunk: OutgoingChunk) => !ended(chunk);
    this.#generated = this.#generated.filter(stays);
    this.#prompts = this.#prompts.filter(stays);
  }

  clear(): void {
    this.#generated = [];
    this.#prompts = [];
  }
}

const isOf =
  ({ sequenceId, epoch }: Pick<MicrobatchChunk, 'sequenceId' | 'epoch'>) =>
  (chunk: MicrobatchChunk): boolean =>
    chunk.sequenceId === sequenceId && chunk.epoch === epoch;

const hiddenOf = (chunk: MicrobatchChunk): number => chunk.state.length / chunk.rows;

const cut = (chunk: OutgoingChunk, rows: number): OutgoingChunk => ({
  ...chunk,
  rows,
  rest: chunk.rows - rows,
  state: chunk.state.subarray(0, rows * hiddenOf(chunk)),
});

/** What ran is told with the first part. */
const tail = (chunk: OutgoingChunk, gone: number): OutgoingChunk => ({
  ...chunk,
  told: undefined,
  start: chunk.start + gone,
  rows: chunk.rows - gone,
  state: chunk.state.subarray(gone * hiddenOf(chunk)),
});

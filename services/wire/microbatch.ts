import { LIMITS, RondoError, type SequenceId, sequenceId } from '@rondo/core';
import { enumField, malformed, nonEmpty, present, uint32 } from './fields.ts';
import * as pb from './proto-types.ts';
import { runsFromProto, runsToProto, type ToldRuns } from './runs-message.ts';
import { type Activations, bytesPerFloat, rowsOfTensor, tensorOfRows } from './tensor.ts';

/**
 * What is to become of rows that arrive. `live`: their passes run; at maxDepth they are done and travel home. `exited`: they left the
 * loop and travel home. `skipped`: they left it before, only their K and V are projected (kvPolicy propagate). `owed`: their
 * tokens are out, their passes run when there is time (kvPolicy catch-up).
 */
export type ChunkKind = 'live' | 'exited' | 'skipped' | 'owed';

/** Consecutive positions of one sequence at one depth. */
export interface MicrobatchChunk {
  readonly sequenceId: SequenceId;
  readonly epoch: number;
  readonly kind: ChunkKind;
  /** Depth of the next pass, which is the number of passes spent. */
  readonly depth: number;
  /** Position of the first row. */
  readonly start: number;
  readonly rows: number;
  /** Rows of the same chunk that follow in the next frames: it is whole when none does. */
  readonly rest: number;
  /** ∏(1 − λ) over the passes spent. */
  readonly survival: number;
  /** [rows·hidden]; a received state owns its memory. */
  readonly state: Float32Array;
  /** What has run for its sequence away from home, on its way there. */
  readonly told?: ToldRuns | undefined;
}

/** Rows of `hidden` floats that fit one frame, at least 1: longer chunks are cut, more chunks go into the next frame. */
export const rowsPerFrame = (hidden: number, activations: Activations = 'f32'): number =>
  Math.max(
    1,
    Math.min(LIMITS.stepRowsMax, Math.floor(LIMITS.frameBytes / (hidden * bytesPerFloat(activations)))),
  );

const chunkKind = enumField<ChunkKind>('ChunkKind', {
  live: pb.ChunkKind.CHUNK_KIND_LIVE,
  exited: pb.ChunkKind.CHUNK_KIND_EXITED,
  skipped: pb.ChunkKind.CHUNK_KIND_SKIPPED,
  owed: pb.ChunkKind.CHUNK_KIND_OWED,
});

/** @throws RondoError INTERNAL when the chunks do not hold rows of one size */
export function microbatchToProto(
  { chunks, ping = false }: { readonly chunks: readonly MicrobatchChunk[]; readonly ping?: boolean },
  activations: Activations,
): pb.Microbatch {
  const first = chunks[0];
  if (first === undefined) throw new RondoError('INTERNAL', 'a microbatch needs at least one chunk');
  const hidden = first.state.length / first.rows;
  for (const { rows, state, sequenceId } of chunks) {
    if (rows < 1 || hidden < 1 || !Number.isInteger(hidden) || state.length !== rows * hidden) {
      throw new RondoError(
        'INTERNAL',
        `chunk of ${sequenceId}: ${state.length} floats for ${rows} rows, the first chunk has ${hidden} a row`,
      );
    }
  }
  const rows = chunks.reduce((sum, chunk) => sum + chunk.rows, 0);
  return {
    chunkSequenceId: chunks.map((chunk) => chunk.sequenceId),
    chunkEpoch: chunks.map((chunk) => uint32(chunk.epoch, 'epoch')),
    chunkDepth: chunks.map((chunk) => uint32(chunk.depth, 'depth')),
    chunkStart: chunks.map((chunk) => uint32(chunk.start, 'start')),
    chunkRows: chunks.map((chunk) => uint32(chunk.rows, 'rows')),
    state: tensorOfRows(
      chunks.map((chunk) => chunk.state),
      rows,
      hidden,
      activations,
    ),
    chunkKind: chunks.map((chunk) => chunkKind.encode(chunk.kind)),
    chunkSurvival: chunks.map((chunk) => chunk.survival),
    chunkRest: chunks.map((chunk) => uint32(chunk.rest, 'rest')),
    chunkRuns: boundedRuns(chunks),
    ping,
  };
}

/** Runs told with the chunks, as many as a frame may have; of the rest only their number goes along. */
function boundedRuns(chunks: readonly MicrobatchChunk[]): pb.ChunkRuns[] {
  let room: number = LIMITS.frameRuns;
  return chunks.flatMap(({ told }, chunk) => {
    if (!told) return [];
    const runs = told.runs.slice(0, room);
    room -= runs.length;
    const dropped = told.dropped + told.runs.length - runs.length;
    return [{ chunk, runs: runsToProto({ runs, dropped }) }];
  });
}

/** @throws RondoError PROTOCOL_MISMATCH when the sizes in it disagree */
export function chunksFromProto(message: pb.Microbatch): MicrobatchChunk[] {
  const { chunkSequenceId, chunkEpoch, chunkDepth, chunkStart, chunkRows } = message;
  const count = chunkSequenceId.length;
  const columns = [chunkEpoch, chunkDepth, chunkStart, chunkRows, message.chunkKind];
  columns.push(message.chunkSurvival, message.chunkRest);
  if (columns.some((column) => column.length !== count)) {
    throw malformed('Microbatch', `its chunk_* arrays differ in length (${count} sequence ids)`);
  }
  const state = rowsOfTensor(present(message.state, 'Microbatch', 'state'));
  const rowsAnnounced = chunkRows.reduce((sum, rows) => sum + rows, 0);
  if (count === 0 || chunkRows.includes(0) || state.columns === 0)
    throw malformed('Microbatch', 'a chunk has no rows');
  if (rowsAnnounced !== state.rows) {
    throw malformed('Microbatch', `its chunks have ${rowsAnnounced} rows, its state ${state.rows}`);
  }
  const told = new Map(
    message.chunkRuns.map(({ chunk, runs }) => [
      chunk,
      runsFromProto(present(runs, 'Microbatch', 'chunk_runs.runs')),
    ]),
  );
  let first = 0;
  return chunkSequenceId.map((id, index) => {
    const rows = chunkRows[index]!;
    const chunk: MicrobatchChunk = {
      sequenceId: sequenceId(nonEmpty(id, 'Microbatch', 'chunk_sequence_id')),
      epoch: chunkEpoch[index]!,
      kind: chunkKind.decode(message.chunkKind[index]!),
      depth: chunkDepth[index]!,
      start: chunkStart[index]!,
      rows,
      rest: message.chunkRest[index]!,
      survival: message.chunkSurvival[index]!,
      state: state.take(first, rows),
      ...(told.has(index) && { told: told.get(index)! }),
    };
    first += rows;
    return chunk;
  });
}

import type { PlannedFactor } from './factor-plan.ts';
import { describe } from './kernel/description.ts';
import { WEIGHT_MIDDLE } from './kernel/int8-product.ts';
import { GROUP_OUTPUTS, LANES, MATRIX, TILES } from './kernel/matrix.ts';
import { BLOCK_COLUMNS } from './kernel/round-blocks.ts';
import { SIXTEEN } from './kernel/rounded-row.ts';
import { isGated, type LaidMatrix, type LayerPlan, type PlannedMatrix, tileBytesOf } from './layer-plan.ts';
import type { ReadWeights } from './reading-weights.ts';

/** Items a thread has of a matrix: with more, taking them costs more than waiting for the slower thread. */
const ITEMS_PER_THREAD = 2;
const WORDS_PER_BLOCK = BLOCK_COLUMNS / 8;

/** Lays a matrix out as its product reads it, with its description. */
export function packMatrix(
  words: Int32Array,
  matrix: PlannedMatrix,
  precision: LayerPlan['precision'],
  threads: number,
  read: ReadWeights,
): void {
  const memory = words.buffer as SharedArrayBuffer;
  const { place, outputs, blocks } = matrix;
  if (precision === 'int4') packBlocks(memory, matrix, read);
  else {
    const bytes = new Int8Array(read(place.data, outputs * blocks * SIXTEEN));
    packOutputs(memory, matrix, isGated(matrix), bytes, new Float32Array(read(place.scales, outputs * 4)));
  }
  const itemGroups = itemGroupsOf(
    outputs / GROUP_OUTPUTS,
    isGated(matrix) ? 2 : 1,
    ITEMS_PER_THREAD * threads,
  );
  describeMatrix(words, matrix, precision, itemGroups);
}

/** The same for a factor, whose pieces `read` finds anywhere in stored matrices. */
export function packFactor(
  words: Int32Array,
  factor: PlannedFactor,
  threads: number,
  read: ReadWeights,
): void {
  const { outputs, blocks, pieces } = factor;
  const bytes = new Int8Array(outputs * blocks * SIXTEEN);
  const scales = new Float32Array(outputs);
  for (const piece of pieces) {
    const { stored, firstInput, firstOutput, at } = piece;
    const from = new Int8Array(
      read(stored.data + firstInput * stored.outputs, piece.inputs * stored.outputs),
    );
    for (let input = 0; input < piece.inputs; input++) {
      const start = input * stored.outputs + firstOutput;
      bytes.set(from.subarray(start, start + piece.outputs), input * outputs + at);
    }
    scales.set(new Float32Array(read(stored.scales + firstOutput * 4, piece.outputs * 4)), at);
  }
  packOutputs(words.buffer as SharedArrayBuffer, factor, false, bytes, scales);
  describeMatrix(
    words,
    factor,
    'int8',
    // Rows are of several depths, and each has items.
    factor.addend ? 1 : itemGroupsOf(outputs / GROUP_OUTPUTS, 1, threads),
  );
}

/** Rows that are rounded, and multiplied elsewhere. */
export const describeRows = (words: Int32Array, rows: LaidMatrix): void =>
  describeMatrix(words, rows, 'int8', 1);

/** Groups of one of `items` items, of groups that come `step` at a time. */
const itemGroupsOf = (groups: number, step: number, items: number): number =>
  Math.ceil(groups / step / items) * step;

function describeMatrix(
  words: Int32Array,
  matrix: LaidMatrix,
  precision: LayerPlan['precision'],
  itemGroups: number,
): void {
  const { outputs, blocks } = matrix;
  const groups = outputs / GROUP_OUTPUTS;
  describe(words, matrix.address, MATRIX, {
    weights: matrix.weights,
    scales: matrix.scales,
    zeros: matrix.zeros,
    blocks,
    groups,
    itemGroups,
    items: Math.ceil(groups / itemGroups),
    source: matrix.source,
    sourceRowBytes: matrix.sourceRowBytes,
    input: matrix.rounded,
    inputTileBytes: tileBytesOf(precision, blocks),
    output: matrix.target,
    outputRowBytes: matrix.targetRowBytes,
    ...{ range: matrix.range, next: 0, addends: 0, nextAddends: 0 },
  });
}

/** The first output of a vector of them: of a gated matrix every second group is of its second half. */
const firstOutput = ({ outputs }: LaidMatrix, gated: boolean, group: number, tile: number): number =>
  gated
    ? ((group % 2) * outputs) / 2 + (Math.floor(group / 2) * TILES + tile) * LANES
    : (group * TILES + tile) * LANES;

/** From MatMulNBits: words [outputs, blocks, 4], scales [outputs, blocks], zero points two a byte. */
function packBlocks(memory: SharedArrayBuffer, matrix: PlannedMatrix, read: ReadWeights): void {
  const { outputs, blocks, place } = matrix;
  const zeroBytes = Math.ceil(blocks / 2);
  const words = new Int32Array(read(place.data, outputs * blocks * WORDS_PER_BLOCK * 4));
  const factors = new Float32Array(read(place.scales, outputs * blocks * 4));
  const points = new Uint8Array(read(place.zeroPoints!, outputs * zeroBytes));
  const weights = new Int32Array(memory, matrix.weights, words.length);
  const scales = new Float32Array(memory, matrix.scales, factors.length);
  const zeros = new Uint8Array(memory, matrix.zeros, factors.length);
  const groups = outputs / GROUP_OUTPUTS;
  let at = 0;
  for (let group = 0; group < groups; group++) {
    for (let block = 0; block < blocks; block++) {
      for (let tile = 0; tile < TILES; tile++) {
        const first = firstOutput(matrix, isGated(matrix), group, tile);
        for (let lane = 0; lane < LANES; lane++, at++) {
          const output = first + lane;
          const from = output * blocks + block;
          scales[at] = factors[from]!;
          zeros[at] = (points[output * zeroBytes + (block >> 1)]! >> ((block & 1) * 4)) & 15;
          const target = (group * blocks + block) * WORDS_PER_BLOCK * TILES;
          for (let word = 0; word < WORDS_PER_BLOCK; word++) {
            weights[(target + word * TILES + tile) * LANES + lane] = words[from * WORDS_PER_BLOCK + word]!;
          }
        }
      }
    }
  }
}

/** From MatMulIntegerToFloat: bytes [columns, outputs], scales [outputs], here with that of the rows' bytes. */
function packOutputs(
  memory: SharedArrayBuffer,
  matrix: LaidMatrix,
  gated: boolean,
  bytes: Int8Array,
  factors: Float32Array,
): void {
  const { outputs, blocks } = matrix;
  const columns = blocks * SIXTEEN;
  const weights = new Uint8Array(memory, matrix.weights, outputs * columns);
  const scales = new Float32Array(memory, matrix.scales, outputs);
  const step = Math.fround(1 / 127);
  const groups = outputs / GROUP_OUTPUTS;
  for (let group = 0; group < groups; group++) {
    for (let tile = 0; tile < TILES; tile++) {
      const first = firstOutput(matrix, gated, group, tile);
      for (let lane = 0; lane < LANES; lane++) {
        scales[(group * TILES + tile) * LANES + lane] = step * factors[first + lane]!;
      }
      for (let column = 0; column < columns; column++) {
        const vector = (group * columns + (column & ~3)) / 4;
        const target = (vector * TILES + tile) * 16 + (column & 3);
        for (let lane = 0; lane < LANES; lane++) {
          weights[target + lane * 4] = bytes[column * outputs + first + lane]! + WEIGHT_MIDDLE;
        }
      }
    }
  }
}

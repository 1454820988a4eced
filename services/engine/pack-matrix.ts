import { LANES, MATRIX, TILES } from './kernel/int4-product.ts';
import { BLOCK_COLUMNS } from './kernel/round-rows.ts';
import type { LayerPlan, PlannedMatrix } from './layer-plan.ts';

/** Items a thread has of a matrix: with more, taking them costs more than waiting for the slower thread. */
const ITEMS_PER_THREAD = 2;
const WORDS_PER_BLOCK = BLOCK_COLUMNS / 8;

/**
 * Lays a matrix out as `int4Product` reads it, with its description. `read` gives bytes of the bundle's file, where it
 * lies as MatMulNBits takes it: words [outputs, blocks, 4], scales [outputs, blocks], zero points two a byte.
 */
export function packMatrix(
  memory: SharedArrayBuffer,
  matrix: PlannedMatrix,
  { rounded }: LayerPlan,
  threads: number,
  read: (offset: number, bytes: number) => ArrayBuffer,
): void {
  const { outputs, blocks, place, worker } = matrix;
  const gated = worker === 'gated';
  const zeroBytes = Math.ceil(blocks / 2);
  const words = new Int32Array(read(place.data, outputs * blocks * WORDS_PER_BLOCK * 4));
  const factors = new Float32Array(read(place.scales, outputs * blocks * 4));
  const points = new Uint8Array(read(place.zeroPoints, outputs * zeroBytes));
  const weights = new Int32Array(memory, matrix.weights, words.length);
  const scales = new Float32Array(memory, matrix.scales, factors.length);
  const zeros = new Uint8Array(memory, matrix.zeros, factors.length);
  const groups = outputs / (TILES * LANES);
  let at = 0;
  for (let group = 0; group < groups; group++) {
    for (let block = 0; block < blocks; block++) {
      for (let tile = 0; tile < TILES; tile++) {
        const first = gated ? (tile * outputs) / 2 + group * LANES : (group * TILES + tile) * LANES;
        for (let lane = 0; lane < LANES; lane++, at++) {
          const output = first + lane;
          const from = output * blocks + block;
          scales[at] = factors[from]!;
          zeros[at] = (points[output * zeroBytes + (block >> 1)]! >> ((block & 1) * 4)) & 15;
          const target = (at - lane) * WORDS_PER_BLOCK + lane;
          for (let word = 0; word < WORDS_PER_BLOCK; word++) {
            weights[target + word * LANES] = words[from * WORDS_PER_BLOCK + word]!;
          }
        }
      }
    }
  }
  const itemGroups = Math.ceil(groups / (ITEMS_PER_THREAD * threads));
  const description: Record<keyof typeof MATRIX, number> = {
    weights: matrix.weights,
    scales: matrix.scales,
    zeros: matrix.zeros,
    blocks,
    groups,
    itemGroups,
    items: Math.ceil(groups / itemGroups),
    input: rounded,
    output: matrix.target,
    outputRowBytes: (gated ? outputs / 2 : outputs) * 4,
    rows: 0,
  };
  const fields = new Int32Array(memory, matrix.address);
  for (const [name, value] of Object.entries(description))
    fields[MATRIX[name as keyof typeof MATRIX]] = value;
}

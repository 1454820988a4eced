import { everyLane } from './across-lanes.ts';
import {
  add,
  type Code,
  get,
  ifElse,
  int,
  integers,
  type Local,
  loopOver,
  scalar,
  set,
  vector,
} from './code.ts';
import { fieldOf } from './description.ts';
import { MATRIX, roundedOf, sourceOf } from './matrix.ts';
import type { WasmFunction } from './module.ts';
import type { RoundingOf } from './round.ts';
import { RoundedRow, SMALLEST } from './rounded-row.ts';
import { STEP_BYTES, TILE_ROWS } from './row-tiles.ts';

/** Columns that share a scale. */
export const BLOCK_COLUMNS = 32;
/** A block of a tile of rounded rows: the bytes, then each row's f32 scale, and each row's scale · Σ bytes. */
export const ROUNDED_SCALE = BLOCK_COLUMNS * TILE_ROWS;
export const ROUNDED_SUM = ROUNDED_SCALE + STEP_BYTES;
export const ROUNDED_BLOCK_BYTES = ROUNDED_SUM + STEP_BYTES;

/** Of each eight columns first the even ones, then the odd: as the halves of a weight's bytes hold them. */
const EVEN_ODD = [0, 2, 4, 6, 1, 3, 5, 7, 8, 10, 12, 14, 9, 11, 13, 15];

/** The largest lanes of some vectors of sizes, none of which waits for all before it. */
const mostOf = (vectors: readonly Code[]): Code =>
  vectors.length === 1
    ? vectors[0]!
    : vector.maxSize(mostOf(vectors.slice(0, vectors.length / 2)), mostOf(vectors.slice(vectors.length / 2)));

/**
 * Rows of blocks · 32 floats become signed bytes with a scale for each block, largest / 127: what MatMulNBits makes of its input at
 * accuracy level 4. It multiplies by 127 / largest, which is not the float 1 / scale: near the middle between two bytes that
 * decides. `alsoWhole`: each row once more by its own largest value, for the next matrix if there is one.
 */
export const roundBlocks =
  (alsoWhole: boolean): RoundingOf =>
  (fn, matrix, row) => {
    const [block, blocks, source, target] = fn.locals('i32', 4) as [Local, Local, Local, Local];
    const scale = fn.local('f32');
    const [largest, sum, inverse] = fn.locals('v128', 3) as [Local, Local, Local];
    const values = fn.locals('v128', 8);
    const field = fieldOf(matrix);
    const whole = alsoWhole ? wholeRow(fn, matrix, row) : undefined;
    const narrow = (first: number) => integers.narrowToShorts(get(values[first]!), get(values[first + 1]!));
    /** Sixteen columns: four words of bytes. */
    const storeHalf = (half: number): Code => [
      set(
        inverse,
        integers.shuffleBytes(integers.narrowToBytes(narrow(half * 4), narrow(half * 4 + 2)), EVEN_ODD),
      ),
      [0, 1, 2, 3].map((word) =>
        integers.storeWord(get(target), get(inverse), word, (half * 4 + word) * STEP_BYTES),
      ),
    ];
    return {
      constants: [set(blocks, field(MATRIX.blocks)), whole?.constants ?? []],
      ofRow: [
        set(source, sourceOf(matrix, row)),
        set(target, roundedOf(matrix, row)),
        whole?.begin ?? [],
        loopOver(block, int(0), get(blocks), 1, [
          values.map((value, index) => set(value, vector.load(get(source), index * 16))),
          set(largest, mostOf(values.map((value) => vector.absolute(get(value))))),
          set(largest, vector.maxSize(vector.floats(SMALLEST), get(largest))),
          everyLane(largest, vector.maxSize),
          whole?.withBlock(largest) ?? [],
          set(inverse, vector.divide(vector.floats(127), get(largest))),
          set(scale, scalar.divide(vector.lane(get(largest), 0), scalar.floats(127))),
          set(sum, vector.ints(0)),
          values.map((value) => [
            set(value, vector.toIntsWithin(vector.nearest(vector.multiply(get(value), get(inverse))))),
            set(sum, vector.addInts(get(sum), get(value))),
          ]),
          storeHalf(0),
          storeHalf(1),
          everyLane(sum, vector.addInts),
          set(sum, integers.toFloats(get(sum))),
          scalar.store(get(target), get(scale), ROUNDED_SCALE),
          scalar.store(get(target), scalar.multiply(get(scale), vector.lane(get(sum), 0)), ROUNDED_SUM),
          set(source, add(get(source), int(BLOCK_COLUMNS * 4))),
          set(target, add(get(target), int(ROUNDED_BLOCK_BYTES))),
        ]),
        whole?.end ?? [],
      ],
    };
  };

/** The same row, rounded by its own largest value for the next matrix. */
function wholeRow(fn: WasmFunction, matrix: Local, row: Local) {
  const [next, target] = fn.locals('i32', 2) as [Local, Local];
  const rounded = new RoundedRow(fn, 'multiplication');
  return {
    constants: set(next, fieldOf(matrix)(MATRIX.next)),
    begin: rounded.begin,
    withBlock: (largest: Local): Code =>
      set(rounded.largest, vector.maxSize(get(rounded.largest), get(largest))),
    end: ifElse(get(next), [
      set(target, roundedOf(next, row)),
      rounded.round(sourceOf(next, row), target, fieldOf(next)(MATRIX.blocks)),
    ]),
  };
}

import { type PlannedMatrix, tileBytesOf } from '../layer-plan.ts';
import { describeRows, packMatrix } from '../pack-matrix.ts';
import { compile } from './compile.ts';
import { describe } from './description.ts';
import { int4Product } from './int4-product.ts';
import { int8Product } from './int8-product.ts';
import { MATRIX, RANGE } from './matrix.ts';
import { wasmModule } from './module.ts';
import { roundFunction } from './round.ts';
import { BLOCK_COLUMNS, ROUNDED_BLOCK_BYTES, ROUNDED_SCALE, roundBlocks } from './round-blocks.ts';
import { roundRows } from './round-rows.ts';
import { ROW_BYTES_START, ROW_LARGEST, roundedTileBytes, SIXTEEN } from './rounded-row.ts';
import { rowItems } from './row-items.ts';
import { FOUR_BYTES, STEP_BYTES, TILE_ROWS } from './row-tiles.ts';
import type { Target } from './target.ts';

type Precision = 'int4' | 'int8';
type Multiplier = 'product' | 'gated';

type Functions = Record<Multiplier | 'round', (item: number, matrix: number, scratch: number) => void>;

const MEMORY_PAGES = 8;
/** Places in the memory, far enough apart for tests. */
const PLACES = {
  ...{ matrix: 0, wholeRows: 128, range: 256, scratch: 512, weights: 1024, scales: 65_536, zeros: 131_072 },
  ...{ rounded: 196_608, wholes: 229_376, source: 262_144, target: 393_216 },
};

/** Rows and a matrix in a kernel of their own, for tests. */
export class TestProduct {
  readonly #precision: Precision;
  readonly #multiplier: Multiplier;
  readonly #rows: number;
  readonly #columns: number;
  readonly #outputs: number;
  readonly #memory = new WebAssembly.Memory({ initial: MEMORY_PAGES, maximum: MEMORY_PAGES, shared: true });
  readonly #functions: Functions;

  /**
   * `parts`: the matrix as a bundle holds it, values, scales and zero points; `source` [rows, columns]. `alsoWhole`: int4's rows are
   * rounded by their own largest values, too, as for factors.
   */
  constructor(
    precision: Precision,
    multiplier: Multiplier,
    [outputs, columns]: readonly [number, number],
    parts: readonly ArrayBufferView[],
    source: Float32Array,
    target: Target,
    { alsoWhole = false } = {},
  ) {
    this.#precision = precision;
    this.#multiplier = multiplier;
    this.#rows = source.length / columns;
    this.#columns = columns;
    this.#outputs = outputs;
    const [product, rounding] =
      precision === 'int4' ? [int4Product, roundBlocks(alsoWhole)] : [int8Product, roundRows('divisions')];
    const functions = [
      roundFunction('round', rounding),
      product('product', {}, target),
      product('gated', { gated: true }, target),
    ];
    const module = compile(wasmModule(functions, MEMORY_PAGES), target);
    const { exports } = new WebAssembly.Instance(module, { host: { memory: this.#memory } });
    this.#functions = exports as unknown as Functions;
    const matrix: PlannedMatrix = {
      ...{ place: { data: 0, scales: 1, zeroPoints: 2 }, multiplier, outputs, blocks: this.#blocks },
      ...{ address: PLACES.matrix, weights: PLACES.weights, scales: PLACES.scales, zeros: PLACES.zeros },
      ...{ source: PLACES.source, rounded: PLACES.rounded, target: PLACES.target },
      ...{
        sourceRowBytes: columns * 4,
        targetRowBytes: (multiplier === 'gated' ? outputs / 2 : outputs) * 4,
      },
      range: PLACES.range,
    };
    const read = (offset: number): ArrayBuffer => {
      const { buffer, byteOffset, byteLength } = parts[offset]!;
      return buffer.slice(byteOffset, byteOffset + byteLength) as ArrayBuffer;
    };
    packMatrix(new Int32Array(this.#memory.buffer), matrix, precision, 1, read);
    if (alsoWhole) {
      const rows = { ...matrix, address: PLACES.wholeRows, rounded: PLACES.wholes, outputs: 0 };
      describeRows(new Int32Array(this.#memory.buffer), { ...rows, blocks: columns / SIXTEEN });
      this.#words[MATRIX.next] = PLACES.wholeRows;
    }
    describe(new Int32Array(this.#memory.buffer), PLACES.range, RANGE, { first: 0, rows: this.#rows });
    new Float32Array(this.#memory.buffer).set(source, PLACES.source / 4);
    for (let item = 0; item < rowItems(this.#rows); item++) this.#functions.round(item, PLACES.matrix, 0);
  }

  get #blocks(): number {
    return this.#columns / (this.#precision === 'int4' ? BLOCK_COLUMNS : SIXTEEN);
  }

  get #words(): Int32Array {
    return new Int32Array(this.#memory.buffer, PLACES.matrix);
  }

  /** What the rows were rounded to [rows, columns], and what a byte was divided by: a block's scale, or its row's largest value. */
  rounded(): { bytes: number[]; divisors: number[] } {
    const [bytes, divisors]: [number[], number[]] = [[], []];
    const tileBytes = tileBytesOf(this.#precision, this.#blocks);
    for (let at = 0; at < this.#rows * this.#columns; at++) {
      const [row, column] = [Math.floor(at / this.#columns), at % this.#columns];
      const tile = PLACES.rounded + Math.floor(row / TILE_ROWS) * tileBytes + (row % TILE_ROWS) * FOUR_BYTES;
      const [byte, divisor] =
        this.#precision === 'int4' ? placeInBlocks(column) : [ROW_BYTES_START + inSteps(column), ROW_LARGEST];
      bytes.push(new Int8Array(this.#memory.buffer, tile + byte, 1)[0]!);
      divisors.push(new Float32Array(this.#memory.buffer, tile + divisor, 1)[0]!);
    }
    return { bytes, divisors };
  }

  /** With `alsoWhole`, each row's largest value. */
  wholeLargest(): Float32Array {
    const tileBytes = roundedTileBytes(this.#columns);
    return Float32Array.from({ length: this.#rows }, (_, row) => {
      const inTile = (row % TILE_ROWS) * FOUR_BYTES + ROW_LARGEST;
      const at = PLACES.wholes + Math.floor(row / TILE_ROWS) * tileBytes + inTile;
      return new Float32Array(this.#memory.buffer, at, 1)[0]!;
    });
  }

  /** [rows, outputs], half as many outputs if gated. */
  run(): Float32Array {
    const items = this.#words[MATRIX.items]!;
    for (let item = 0; item < items; item++)
      this.#functions[this.#multiplier](item, PLACES.matrix, PLACES.scratch);
    const width = this.#multiplier === 'gated' ? this.#outputs / 2 : this.#outputs;
    return new Float32Array(this.#memory.buffer, PLACES.target, this.#rows * width);
  }
}

/** Where a row has a column's byte, if columns are in order. */
const inSteps = (column: number): number =>
  Math.floor(column / FOUR_BYTES) * STEP_BYTES + (column % FOUR_BYTES);

/** Where a row has a column's byte and its block's scale; of each eight columns the even ones come first. */
function placeInBlocks(column: number): [number, number] {
  const block = Math.floor(column / BLOCK_COLUMNS) * ROUNDED_BLOCK_BYTES;
  const inBlock = column % BLOCK_COLUMNS;
  const inOrder = Math.floor(inBlock / 8) * 8 + (inBlock % 2) * 4 + Math.floor((inBlock % 8) / 2);
  return [block + inSteps(inOrder), block + ROUNDED_SCALE];
}

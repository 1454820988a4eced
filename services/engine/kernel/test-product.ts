import type { LayerPlan, PlannedMatrix } from '../layer-plan.ts';
import { packMatrix } from '../pack-matrix.ts';
import { int4Product } from './int4-product.ts';
import { int8Product } from './int8-product.ts';
import { wasmModule } from './module.ts';
import { MATRIX } from './product.ts';
import { BLOCK_COLUMNS, ROUNDED_BLOCK_BYTES, ROUNDED_SCALE, roundBlocksFunction } from './round-blocks.ts';
import { ROW_BYTES_START, ROW_LARGEST, roundRowsFunction, SIXTEEN } from './round-rows.ts';
import type { DotProduct } from './target.ts';

type Precision = 'int4' | 'int8';
type WorkerName = 'product' | 'gated';

interface Functions extends Record<WorkerName, (item: number, matrix: number, scratch: number) => void> {
  round(source: number, target: number, blocks: number, rows: number): void;
}

const MEMORY_PAGES = 8;
/** Places in the memory, far enough apart for tests. */
const PLACES = {
  ...{ matrix: 0, weights: 1024, scales: 65_536, zeros: 131_072 },
  ...{ rounded: 196_608, source: 262_144, target: 393_216 },
};

/** Rows and a matrix in a kernel of their own, for tests. */
export class TestProduct {
  readonly #precision: Precision;
  readonly #worker: WorkerName;
  readonly #rows: number;
  readonly #columns: number;
  readonly #outputs: number;
  readonly #memory = new WebAssembly.Memory({ initial: MEMORY_PAGES, maximum: MEMORY_PAGES, shared: true });
  readonly #functions: Functions;

  /** `parts`: the matrix as a bundle holds it, values, scales and zero points; `source` [rows, columns]. */
  constructor(
    precision: Precision,
    worker: WorkerName,
    [outputs, columns]: readonly [number, number],
    parts: readonly ArrayBufferView[],
    source: Float32Array,
    dots: DotProduct,
  ) {
    this.#precision = precision;
    this.#worker = worker;
    this.#rows = source.length / columns;
    this.#columns = columns;
    this.#outputs = outputs;
    const [product, round] =
      precision === 'int4' ? [int4Product, roundBlocksFunction()] : [int8Product, roundRowsFunction('round')];
    const functions = [round, product('product', false, dots), product('gated', true, dots)];
    const module = new WebAssembly.Module(wasmModule(functions, MEMORY_PAGES));
    const { exports } = new WebAssembly.Instance(module, { host: { memory: this.#memory } });
    this.#functions = exports as unknown as Functions;
    const matrix: PlannedMatrix = {
      ...{ place: { data: 0, scales: 1, zeroPoints: 2 }, worker, outputs, blocks: this.#blocks },
      ...{ address: PLACES.matrix, weights: PLACES.weights, scales: PLACES.scales, zeros: PLACES.zeros },
      target: PLACES.target,
    };
    const read = (offset: number): ArrayBuffer => {
      const { buffer, byteOffset, byteLength } = parts[offset]!;
      return buffer.slice(byteOffset, byteOffset + byteLength) as ArrayBuffer;
    };
    const plan: Pick<LayerPlan, 'precision' | 'rounded'> = { precision, rounded: PLACES.rounded };
    packMatrix(this.#memory.buffer as SharedArrayBuffer, matrix, plan, 1, read);
    this.#words[MATRIX.rows] = this.#rows;
    new Float32Array(this.#memory.buffer).set(source, PLACES.source / 4);
    this.#functions.round(PLACES.source, PLACES.rounded, this.#blocks, this.#rows);
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
    const int4 = this.#precision === 'int4';
    for (let at = 0; at < this.#rows * this.#columns; at++) {
      const [group, place] = int4
        ? [Math.floor(at / BLOCK_COLUMNS) * ROUNDED_BLOCK_BYTES, placeInBlock(at % BLOCK_COLUMNS)]
        : [
            Math.floor(at / this.#columns) * (ROW_BYTES_START + this.#columns),
            ROW_BYTES_START + (at % this.#columns),
          ];
      const address = PLACES.rounded + group;
      bytes.push(new Int8Array(this.#memory.buffer, address + place, 1)[0]!);
      const divisor = address + (int4 ? ROUNDED_SCALE : ROW_LARGEST);
      divisors.push(new Float32Array(this.#memory.buffer, divisor, 1)[0]!);
    }
    return { bytes, divisors };
  }

  /** [rows, outputs], half as many outputs if gated. */
  run(): Float32Array {
    const items = this.#words[MATRIX.items]!;
    for (let item = 0; item < items; item++) this.#functions[this.#worker](item, PLACES.matrix, 0);
    const width = this.#worker === 'gated' ? this.#outputs / 2 : this.#outputs;
    return new Float32Array(this.#memory.buffer, PLACES.target, this.#rows * width);
  }
}

/** Where in a block of a rounded row a column's byte lies: of each eight first the even ones. */
const placeInBlock = (column: number): number =>
  Math.floor(column / 8) * 8 + (column % 2) * 4 + Math.floor((column % 8) / 2);

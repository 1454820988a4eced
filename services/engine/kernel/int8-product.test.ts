import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { LayerPlan, PlannedMatrix } from '../layer-plan.ts';
import { packMatrix } from '../pack-matrix.ts';
import { int8Product } from './int8-product.ts';
import { wasmModule } from './module.ts';
import { MATRIX } from './product.ts';
import { roundRowsFunction } from './round-rows.ts';

const [ROWS, COLUMNS, OUTPUTS] = [3, 48, 16];
const ROUNDED_ROW_BYTES = 16 + COLUMNS;
const PLACES = { matrix: 0, weights: 1024, scales: 4096, rounded: 8192, source: 12_288, target: 16_384 };

const wave = (at: number): number => Math.fround(Math.sin(at * 12.9898) * 3);

interface Kernel {
  round(source: number, target: number, blocks: number, rows: number): void;
  product(item: number, matrix: number, scratch: number): void;
  gated(item: number, matrix: number, scratch: number): void;
}

/** The kernel's memory with a matrix of extreme and other weights, and rows of which the last is zero. */
function prepared(worker: 'product' | 'gated') {
  const memory = new WebAssembly.Memory({ initial: 1, maximum: 1, shared: true });
  const functions = [roundRowsFunction('round'), int8Product('product', false), int8Product('gated', true)];
  const module = new WebAssembly.Module(wasmModule(functions, 1));
  const kernel = new WebAssembly.Instance(module, { host: { memory } }).exports as unknown as Kernel;
  const bytes = Int8Array.from({ length: COLUMNS * OUTPUTS }, (_, at) =>
    at % OUTPUTS < 2 ? 63 - 126 * (at % OUTPUTS) : Math.round(wave(at) * 21),
  );
  const scales = Float32Array.from({ length: OUTPUTS }, (_, at) => 0.01 + 0.003 * at);
  const matrix = {
    ...{ place: { data: 0, scales: 1 }, worker, outputs: OUTPUTS, blocks: COLUMNS / 16, zeros: 0 },
    ...{ address: PLACES.matrix, weights: PLACES.weights, scales: PLACES.scales, target: PLACES.target },
  } as unknown as PlannedMatrix;
  const plan = { precision: 'int8', rounded: PLACES.rounded } as LayerPlan;
  const read = (offset: number) => (offset === 0 ? bytes : scales).slice().buffer as ArrayBuffer;
  packMatrix(memory.buffer as SharedArrayBuffer, matrix, plan, 1, read);
  const words = new Int32Array(memory.buffer);
  words[PLACES.matrix / 4 + MATRIX.rows] = ROWS;
  const source = Float32Array.from({ length: ROWS * COLUMNS }, (_, at) =>
    at < 2 * COLUMNS ? (at < COLUMNS ? wave(at) : 5 * (1 - 2 * (at % 2))) : 0,
  );
  new Float32Array(memory.buffer).set(source, PLACES.source / 4);
  const items = words[PLACES.matrix / 4 + MATRIX.items]!;
  const run = () => {
    kernel.round(PLACES.source, PLACES.rounded, COLUMNS / 16, ROWS);
    for (let item = 0; item < items; item++) kernel[worker](item, PLACES.matrix, 0);
  };
  return { memory, run, bytes, scales, source };
}

/** As the graph computes it (ADR 14), in its order of roundings. */
function expected({ bytes, scales, source }: ReturnType<typeof prepared>): {
  rounded: number[];
  out: number[];
} {
  const rounded: number[] = [];
  const out: number[] = [];
  const step = Math.fround(1 / 127);
  for (let row = 0; row < ROWS; row++) {
    const values = source.subarray(row * COLUMNS, (row + 1) * COLUMNS);
    const largest = values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    const ints = [...values].map((value) =>
      largest === 0 ? 0 : Math.round(Math.fround(Math.fround(value / largest) / step)),
    );
    rounded.push(...ints);
    for (let output = 0; output < OUTPUTS; output++) {
      const sum = ints.reduce((total, int, column) => total + int * bytes[column * OUTPUTS + output]!, 0);
      out.push(Math.fround(Math.fround(sum * Math.fround(step * scales[output]!)) * largest));
    }
  }
  return { rounded, out };
}

test('rows become bytes by their own largest value, and their products are those of the graph bit for bit', () => {
  const setting = prepared('product');
  setting.run();
  const { rounded, out } = expected(setting);
  const bytes = new Int8Array(setting.memory.buffer);
  const found = Array.from({ length: ROWS * COLUMNS }, (_, at) => {
    const row = Math.floor(at / COLUMNS);
    return bytes[PLACES.rounded + row * ROUNDED_ROW_BYTES + 16 + (at % COLUMNS)]!;
  });
  assert.deepEqual(
    found,
    rounded.map((int) => int + 0),
  );
  const products = [...new Float32Array(setting.memory.buffer, PLACES.target, ROWS * OUTPUTS)];
  assert.deepEqual(
    products.map((value) => value + 0),
    out.map((value) => value + 0),
  );
});

test('gated, the first half of the outputs is the gate of the second', () => {
  const setting = prepared('gated');
  setting.run();
  const { out } = expected(setting);
  const found = new Float32Array(setting.memory.buffer, PLACES.target, (ROWS * OUTPUTS) / 2);
  found.forEach((value, at) => {
    const row = Math.floor(at / (OUTPUTS / 2));
    const place = row * OUTPUTS + (at % (OUTPUTS / 2));
    const [gate, up] = [out[place]!, out[place + OUTPUTS / 2]!];
    const silu = (gate / (1 + Math.exp(-gate))) * up;
    assert.ok(Math.abs(value - silu) <= 1e-5 * Math.abs(silu) + 1e-6, `${at}: ${value}, expected ${silu}`);
  });
});

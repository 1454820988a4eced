import { Tensor } from 'onnxruntime-node';
import { binding, initOrt } from 'onnxruntime-node/dist/binding.js';
import { Session } from '../session.ts';

// ONNX messages by field number (onnx.proto), as far as a few operators and their weights need them: the converter, which writes
// whole graphs, is above this package.

const unsigned = (value: number): number[] =>
  value < 128 ? [value] : [(value % 128) + 128, ...unsigned(Math.floor(value / 128))];

const number = (field: number, value: number): Buffer =>
  Buffer.from([...unsigned(field * 8), ...unsigned(value)]);

function message(field: number, ...parts: (string | Uint8Array)[]): Buffer {
  const body = Buffer.concat(parts.map((part) => (typeof part === 'string' ? Buffer.from(part) : part)));
  return Buffer.concat([Buffer.from([...unsigned(field * 8 + 2), ...unsigned(body.length)]), body]);
}

const TYPES = { float32: 1, uint8: 2, int8: 3, int64: 7 } as const;
const INTEGER_ATTRIBUTE = 2;
const IR_VERSION = 10;
const OPSET = 21;

/** A weight of a graph. */
export function weight(
  name: string,
  type: keyof typeof TYPES,
  data: ArrayBufferView,
  dims: readonly number[],
): Buffer {
  const raw = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  const sizes = dims.map((size) => number(1, size));
  return message(5, ...sizes, number(2, TYPES[type]), message(8, name), message(9, raw));
}

/** A node of a graph with one output; attributes are integers. */
export function node(
  opType: string,
  inputs: readonly string[],
  output: string,
  attributes: Readonly<Record<string, number>> = {},
  domain = '',
): Buffer {
  return message(
    1,
    ...inputs.map((input) => message(1, input)),
    message(2, output),
    message(4, opType),
    ...Object.entries(attributes).map(([name, value]) =>
      message(5, message(1, name), number(3, value), number(20, INTEGER_ATTRIBUTE)),
    ),
    message(7, domain),
  );
}

/** The graph of these nodes and weights, from x [rows, columns] to y: what the graph runtime makes of `x`. */
export function runGraph(parts: readonly Buffer[], x: Float32Array, columns: number): Float32Array {
  const value = (field: number, name: string) =>
    message(field, message(1, name), message(2, message(1, number(1, TYPES.float32))));
  const opset = (domain: string, version: number) => message(8, message(1, domain), number(2, version));
  const model = Buffer.concat([
    number(1, IR_VERSION),
    message(7, ...parts, message(2, 'test'), value(11, 'x'), value(12, 'y')),
    ...[opset('', OPSET), opset('com.microsoft', 1)],
  ]);
  initOrt();
  const inner = new binding.InferenceSession();
  const options = { graphOptimizationLevel: 'all', intraOpNumThreads: 1 } as const;
  inner.loadModel(Uint8Array.from(model).buffer, 0, model.length, options);
  const session = new Session(inner);
  try {
    const y = session.run({ x: new Tensor('float32', x, [x.length / columns, columns]) }).y!;
    return Float32Array.from(y.data as Float32Array);
  } finally {
    session.release();
  }
}

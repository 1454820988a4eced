/** A node of a small graph: its one output has its name. */
export interface SmallNode {
  readonly op: string;
  readonly name: string;
  readonly inputs: readonly string[];
  /** Of operators that must be told their axis. */
  readonly axis?: number;
}

/** An input or output: its element type and a name for each dimension. */
export interface SmallValue {
  readonly name: string;
  readonly type: keyof typeof ELEMENT;
  readonly dims: readonly string[];
}

/** TensorProto.DataType */
const ELEMENT = { float32: 1, int64: 7 } as const;
const [OPSET, IR_VERSION, INT_ATTRIBUTE] = [21, 10, 2];

/**
 * Serialises an ONNX model of a few nodes without weights, which is the same for every bundle and so lies in none. Field numbers
 * are those of onnx.proto.
 */
export function smallGraph(
  name: string,
  nodes: readonly SmallNode[],
  inputs: readonly SmallValue[],
  output: SmallValue,
): Uint8Array {
  const graph = [
    ...nodes.map((node) => field(1, noded(node))),
    field(2, text(name)),
    ...inputs.map((input) => field(11, declared(input))),
    field(12, declared(output)),
  ];
  return Buffer.concat([number(1, IR_VERSION), field(7, ...graph), field(8, number(2, OPSET))]);
}

const noded = ({ op, name, inputs, axis }: SmallNode): Buffer =>
  Buffer.concat([
    ...inputs.map((input) => field(1, text(input))),
    field(2, text(name)),
    field(3, text(name)),
    field(4, text(op)),
    ...(axis === undefined
      ? []
      : [field(5, field(1, text('axis')), number(3, axis), number(20, INT_ATTRIBUTE))]),
  ]);

function declared({ name, type, dims }: SmallValue): Buffer {
  const shape = dims.map((dim) => field(1, field(2, text(dim))));
  const tensor = field(1, number(1, ELEMENT[type]), field(2, ...shape));
  return Buffer.concat([field(1, text(name)), field(2, tensor)]);
}

const text = (value: string): Buffer => Buffer.from(value);

function field(id: number, ...parts: readonly Buffer[]): Buffer {
  const content = Buffer.concat(parts);
  return Buffer.concat([varint(id * 8 + 2), varint(content.length), content]);
}

const number = (id: number, value: number): Buffer => Buffer.concat([varint(id * 8), varint(value)]);

function varint(value: number): Buffer {
  const bytes: number[] = [];
  let rest = value;
  for (; rest > 127; rest >>>= 7) bytes.push((rest & 127) | 128);
  return Buffer.from([...bytes, rest]);
}

import { ATTRIBUTE_TYPE, DATA_TYPE, type DataType, encodeModel } from './onnx-model.ts';

/** A value flowing through a graph under construction; only the graph that made it may use it. */
export type Value = string & { readonly value: unique symbol };

/** Where a weight lies in the bundle's external data file. */
export interface WeightRef {
  readonly file: string;
  readonly offset: number;
  readonly bytes: number;
  readonly type: DataType;
  readonly dims: readonly number[];
}

export type Attribute = number | string | readonly number[] | { readonly float: number };

export interface NodeOptions {
  readonly attributes?: Readonly<Record<string, Attribute>>;
  /** `com.microsoft` for ONNX Runtime's own operators. */
  readonly domain?: string;
}

const MICROSOFT = 'com.microsoft';
export const ORT: NodeOptions = { domain: MICROSOFT };

/** Opset 21 is the newest that ONNX Runtime 1.30's fused CPU kernels all accept. */
const OPSET = 21;
const IR_VERSION = 10;

/**
 * Builds one ONNX graph node by node. Names are generated; a reader of the file finds inputs, outputs and weights
 * under the names given here. Knows nothing of Transformers.
 */
export class Graph {
  readonly #name: string;
  readonly #nodes: object[] = [];
  readonly #initializers: object[] = [];
  readonly #inputs: object[] = [];
  readonly #outputs: object[] = [];
  readonly #constants = new Map<string, Value>();
  #count = 0;

  /** Whether it may hold what only the CPU's provider has, products of integers above all. */
  readonly integers: boolean;

  constructor(name: string, { integers = true }: { readonly integers?: boolean | undefined } = {}) {
    this.#name = name;
    this.integers = integers;
  }

  /** Declares a graph input; a dimension is a number or a symbolic name. */
  input(name: string, type: DataType, dims: readonly (number | string)[]): Value {
    this.#inputs.push(valueInfo(name, type, dims));
    return name as Value;
  }

  /** Declares `value` a graph output under `name`. */
  output(name: string, value: Value, type: DataType, dims: readonly (number | string)[]): void {
    this.#nodes.push({ opType: 'Identity', input: [value], output: [name], name: `out_${name}` });
    this.#outputs.push(valueInfo(name, type, dims));
  }

  /** A weight that stays in the external data file. */
  weight(name: string, ref: WeightRef): Value {
    const known = this.#constants.get(name);
    if (known !== undefined) return known;
    this.#initializers.push({
      name,
      dims: ref.dims,
      dataType: DATA_TYPE[ref.type],
      dataLocation: 1,
      externalData: [
        { key: 'location', value: ref.file },
        { key: 'offset', value: String(ref.offset) },
        { key: 'length', value: String(ref.bytes) },
      ],
    });
    this.#constants.set(name, name as Value);
    return name as Value;
  }

  /** A small int64 constant, shared when equal. `dims` [] is a scalar. */
  ints(values: readonly number[], dims: readonly number[] = [values.length]): Value {
    const data = Buffer.alloc(values.length * 8);
    values.forEach((value, index) => {
      data.writeBigInt64LE(BigInt(value), index * 8);
    });
    return this.#constant(`i_${values.join('_')}_d${dims.join('x')}`, 'int64', dims, data);
  }

  /** A small float constant, shared when `key` is equal. */
  floats(key: string, values: ArrayLike<number>, dims: readonly number[] = [values.length]): Value {
    return this.#constant(`f_${key}`, 'float32', dims, Buffer.from(Float32Array.from(values).buffer));
  }

  /** An unsigned byte as a scalar constant. */
  bytes(key: string, value: number): Value {
    return this.#constant(`b_${key}`, 'uint8', [], Buffer.of(value));
  }

  /** Adds a node with one output. */
  node(opType: string, inputs: readonly (Value | '')[], options: NodeOptions = {}): Value {
    return this.nodes(opType, inputs, 1, options)[0]!;
  }

  /** Adds a node with `outputs` outputs. */
  nodes(
    opType: string,
    inputs: readonly (Value | '')[],
    outputs: number,
    options: NodeOptions = {},
  ): Value[] {
    const id = this.#count++;
    const names = Array.from({ length: outputs }, (_, index) => `${opType}_${id}_${index}` as Value);
    this.#nodes.push({
      opType,
      name: `${opType}_${id}`,
      input: inputs,
      output: names,
      domain: options.domain ?? '',
      attribute: Object.entries(options.attributes ?? {}).map(([name, value]) => attribute(name, value)),
    });
    return names;
  }

  reshape(value: Value, dims: readonly number[]): Value {
    return this.node('Reshape', [value, this.ints(dims)]);
  }

  /** The serialised model. */
  encode(): Uint8Array {
    return encodeModel({
      irVersion: IR_VERSION,
      producerName: 'rondo',
      opsetImport: [
        { domain: '', version: OPSET },
        { domain: MICROSOFT, version: 1 },
      ],
      graph: {
        name: this.#name,
        node: this.#nodes,
        initializer: this.#initializers,
        input: this.#inputs,
        output: this.#outputs,
      },
    });
  }

  #constant(name: string, type: DataType, dims: readonly number[], rawData: Buffer): Value {
    const known = this.#constants.get(name);
    if (known !== undefined) return known;
    this.#initializers.push({ name, dims, dataType: DATA_TYPE[type], rawData });
    this.#constants.set(name, name as Value);
    return name as Value;
  }
}

function valueInfo(name: string, type: DataType, dims: readonly (number | string)[]): object {
  const dim = dims.map((size) => (typeof size === 'number' ? { dimValue: size } : { dimParam: size }));
  return { name, type: { tensorType: { elemType: DATA_TYPE[type], shape: { dim } } } };
}

function attribute(name: string, value: Attribute): object {
  if (typeof value === 'number') return { name, i: value, type: ATTRIBUTE_TYPE.int };
  if (typeof value === 'string') return { name, s: Buffer.from(value), type: ATTRIBUTE_TYPE.string };
  if ('float' in value) return { name, f: value.float, type: ATTRIBUTE_TYPE.float };
  return { name, ints: value, type: ATTRIBUTE_TYPE.ints };
}

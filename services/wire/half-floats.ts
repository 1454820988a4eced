/**
 * Floats to halves and back, four lanes at a time, in WebAssembly: Node's own Float16Array goes one by one. After F. Giesen,
 * "float→half conversions" (2016): halves are rounded to even; here what is too large becomes the largest, ±65504.
 */

import { malformed } from './fields.ts';

type Code = readonly (number | Code)[];

const simd = (operator: number): number[] =>
  operator < 0x80 ? [0xfd, operator] : [0xfd, (operator & 0x7f) | 0x80, operator >> 7];
const binary =
  (operator: number) =>
  (left: Code, right: Code): Code => [left, right, simd(operator)];
const shift =
  (operator: number) =>
  (value: Code, bits: number): Code => [value, 0x41, bits, simd(operator)];

const get = (local: number): Code => [0x20, local];
const set = (local: number, value: Code): Code => [value, 0x21, local];
const load = (address: number, offset = 0): Code => [get(address), simd(0x00), 2, offset];
const store = (address: number, value: Code, offset = 0): Code => [
  get(address),
  value,
  simd(0x0b),
  2,
  offset,
];
/** The same 32 bits in each lane. */
const lanes = (bits: number): Code => [
  simd(0x0c),
  ...Array.from({ length: 4 }, () => [...new Uint8Array(Uint32Array.of(bits).buffer)]),
];
const notEqual = binary(0x42);
const below = binary(0x39);
const above = binary(0x3b);
const and = binary(0x4e);
const or = binary(0x50);
const xor = binary(0x51);
const addFloats = binary(0xe4);
const multiply = binary(0xe6);
/** The smaller; of a NaN and a number `left`. */
const smaller = binary(0xea);
const add = binary(0xae);
const subtract = binary(0xb1);
const left = shift(0xab);
const rightSigned = shift(0xac);
const right = shift(0xad);
/** Eight shorts of eight ints, saturated. */
const narrow = binary(0x85);
const widenLow = (value: Code): Code => [value, simd(0xa9)];
const widenHigh = (value: Code): Code => [value, simd(0xaa)];
/** Lanes of `yes` where `mask` has ones, of `no` elsewhere. */
const select = (mask: Code, yes: Code, no: Code): Code => [yes, no, mask, simd(0x52)];

const SIGN = 0x80000000;
/** 65504, the largest half, and 2⁻¹⁴, the least normal one, as floats. */
const LARGEST = 0x477fe000;
const LEAST_NORMAL = 0x38800000;
/** A float whose last place is that of the halves below the normal ones: added, they are rounded to it. */
const SUBNORMAL = 0x3f000000;
/** Moves the exponent from floats to halves, and rounds up what is more than half of a last place. */
const NORMAL = (0xfff - ((127 - 15) << 23)) >>> 0;
const NAN_HALF = 0x7e00;
/** 2¹¹²: moves the exponent from halves to floats. */
const WIDER = 0x77800000;
const INFINITE_HALF = 0x7c00;
const INFINITE = 0x7f800000;

/** Parameters and locals of both functions. */
const [FROM, TO, END, SIGNS, REST] = [0, 1, 2, 3, 4] as const;

/** The halves of the four floats at FROM + offset, each in 32 bits with its sign in all upper ones. */
function toHalf(offset: number): Code {
  const rest = get(REST);
  const subnormal = subtract(addFloats(rest, lanes(SUBNORMAL)), lanes(SUBNORMAL));
  const odd = rightSigned(left(rest, 31 - 13), 31);
  const normal = right(subtract(add(rest, lanes(NORMAL)), odd), 13);
  const number = select(below(rest, lanes(LEAST_NORMAL)), subnormal, normal);
  return [
    set(SIGNS, and(load(FROM, offset), lanes(SIGN))),
    set(REST, smaller(xor(load(FROM, offset), get(SIGNS)), lanes(LARGEST))),
    or(select(notEqual(rest, rest), lanes(NAN_HALF), number), rightSigned(get(SIGNS), 16)),
  ];
}

/** The floats of four halves that lie in 32 bits each. */
function toFloat(halves: Code): Code {
  const rest = get(REST);
  const special = and(above(rest, lanes(INFINITE_HALF - 1)), lanes(INFINITE));
  return [
    set(REST, and(halves, lanes(0x7fff))),
    set(SIGNS, left(and(halves, lanes(0x8000)), 16)),
    or(multiply(left(rest, 13), lanes(WIDER)), or(get(SIGNS), special)),
  ];
}

const advance = (local: number, bytes: number): Code => [get(local), 0x41, bytes, 0x6a, 0x21, local];

/** `body` until FROM has reached END. */
const loop = (body: Code): Code => [0x03, 0x40, body, get(FROM), get(END), 0x49, 0x0d, 0, 0x0b];

/** `toHalves(from, to, end)`: eight floats a turn. `toFloats(from, to, end)`: eight halves a turn. Bytes; at least one turn. */
const FUNCTIONS: Readonly<Record<string, Code>> = {
  toHalves: loop([store(TO, narrow(toHalf(0), toHalf(16))), advance(FROM, 32), advance(TO, 16)]),
  toFloats: loop([
    store(TO, toFloat(widenLow(load(FROM)))),
    store(TO, toFloat(widenHigh(load(FROM))), 16),
    advance(FROM, 16),
    advance(TO, 32),
  ]),
};

const unsigned = (value: number): number[] =>
  value < 0x80 ? [value] : [(value & 0x7f) | 0x80, ...unsigned(value >> 7)];

const flat = (code: Code): number[] =>
  code.flatMap((part) => (typeof part === 'number' ? [part] : flat(part)));

function moduleBytes(): Uint8Array<ArrayBuffer> {
  const sized = (bytes: number[]): number[] => [...unsigned(bytes.length), ...bytes];
  const section = (id: number, items: number[][]): number[] => [
    id,
    ...sized([items.length, ...items.flat()]),
  ];
  const bodies = Object.values(FUNCTIONS).map(flat);
  const exported = (name: string, kind: number, index: number): number[] => [
    ...sized([...Buffer.from(name)]),
    kind,
    index,
  ];
  const exports = Object.keys(FUNCTIONS).map((name, index) => exported(name, 0, index));
  return Uint8Array.from([
    ...[0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
    ...section(1, [[0x60, 3, 0x7f, 0x7f, 0x7f, 0]]),
    ...section(3, [[0], [0]]),
    ...section(5, [[0, 1]]),
    ...section(7, [...exports, exported('memory', 2, 0)]),
    ...section(
      10,
      bodies.map((body) => sized([1, 2, 0x7b, ...body, 0x0b])),
    ),
  ]);
}

/** A module's own memory; the declarations at hand know shared ones. */
interface GrowingMemory {
  readonly buffer: ArrayBuffer;
  grow(pages: number): number;
}

interface Exports {
  readonly memory: GrowingMemory;
  toHalves(from: number, to: number, end: number): void;
  toFloats(from: number, to: number, end: number): void;
}

const { exports } = new WebAssembly.Instance(new WebAssembly.Module(moduleBytes()), {});
const { memory, toHalves, toFloats } = exports as unknown as Exports;

const TURN = 8;
const PAGE_BYTES = 64 * 1024;
const HALF_BYTES = 2;
const FLOAT_BYTES = 4;

/** Whole turns that hold `count` floats: these lie at the start of the memory, their halves behind them. */
function room(count: number): number {
  const floats = TURN * Math.max(1, Math.ceil(count / TURN));
  const missing = floats * (FLOAT_BYTES + HALF_BYTES) - memory.buffer.byteLength;
  if (missing > 0) memory.grow(Math.ceil(missing / PAGE_BYTES));
  return floats * FLOAT_BYTES;
}

/**
 * As half-precision floats, rounded to even. What is too large for one becomes the largest of its sign, ±65504; NaN stays NaN. The
 * next call of a function here overwrites them: encode them before.
 */
export function halvesOf(parts: readonly Float32Array[]): Uint8Array {
  const count = parts.reduce((length, part) => length + part.length, 0);
  const end = room(count);
  const floats = new Float32Array(memory.buffer, 0, count);
  let offset = 0;
  for (const part of parts) {
    floats.set(part, offset);
    offset += part.length;
  }
  toHalves(0, end, end);
  return new Uint8Array(memory.buffer, end, count * HALF_BYTES);
}

/** The half-precision floats in `bytes`, each exactly; the caller's own. @throws RondoError PROTOCOL_MISMATCH for half of one. */
export function floatsOfHalves(bytes: Uint8Array): Float32Array<ArrayBuffer> {
  if (bytes.byteLength % HALF_BYTES !== 0)
    throw malformed('Tensor', `${bytes.byteLength} bytes are no whole number of 16-bit floats`);
  const count = bytes.byteLength / HALF_BYTES;
  const start = room(count);
  new Uint8Array(memory.buffer, start, bytes.byteLength).set(bytes);
  toFloats(start, 0, start + Math.max(1, bytes.byteLength));
  return new Float32Array(memory.buffer, 0, count).slice();
}

/**
 * WebAssembly instructions as nested lists of bytes, written as expressions: operands come before their operator, so
 * `add(get(x), int(4))` is x + 4. Only what the kernels here use. (WebAssembly 3.0 core specification, §5.4)
 */
export type Code = readonly (number | Callee | Code)[];

/** Another function of the module, by its name. */
export interface Callee {
  readonly callee: string;
}

/** A local variable or parameter of the function under construction. */
export type Local = number & { readonly local: unique symbol };

export function unsigned(value: number): number[] {
  const bytes: number[] = [];
  let rest = value;
  do {
    const low = rest % 128;
    rest = Math.floor(rest / 128);
    bytes.push(rest > 0 ? low + 128 : low);
  } while (rest > 0);
  return bytes;
}

function signed(value: number): number[] {
  const bytes: number[] = [];
  let rest = value | 0;
  for (;;) {
    const low = rest & 0x7f;
    rest >>= 7;
    const last = (rest === 0 && (low & 0x40) === 0) || (rest === -1 && (low & 0x40) !== 0);
    bytes.push(last ? low : low | 0x80);
    if (last) return bytes;
  }
}

const floatBytes = (value: number): number[] => [...new Uint8Array(Float32Array.of(value).buffer)];
const simd = (operator: number): Code => [0xfd, unsigned(operator)];
/** Alignment hint (a power of two) and constant offset of a memory access. */
const at = (offset: number): Code => [2, unsigned(offset)];
/** The sixteen bytes of a constant. */
const constant = (values: ArrayBufferView): Code => [
  simd(0x0c),
  [...new Uint8Array(values.buffer, values.byteOffset, values.byteLength)],
];

const binary =
  (operator: Code) =>
  (left: Code, right: Code): Code => [left, right, operator];
const unary =
  (operator: Code) =>
  (value: Code): Code => [value, operator];

export const get = (local: Local): Code => [0x20, unsigned(local)];
export const set = (local: Local, value: Code): Code => [value, 0x21, unsigned(local)];

/** Copies within the memory. */
export const copyBytes = (to: Code, from: Code, bytes: Code): Code => [to, from, bytes, 0xfc, 0x0a, 0, 0];

/** Calls a function that returns nothing. */
export const call = (callee: string, operands: readonly Code[]): Code => [...operands, 0x10, { callee }];

export const int = (value: number): Code => [0x41, signed(value)];
export const add = binary([0x6a]);
export const subtract = binary([0x6b]);
export const multiply = binary([0x6c]);
export const divide = binary([0x6e]);
export const remainder = binary([0x70]);
export const lessThan = binary([0x49]);
/** Both of two conditions. */
export const both = binary([0x71]);
export const load = (address: Code, offset = 0): Code => [address, 0x28, at(offset)];
export const store = (address: Code, value: Code, offset = 0): Code => [address, value, 0x36, at(offset)];
/** 16 bits; nothing is asked of the address. */
export const loadShort = (address: Code, offset = 0): Code => [address, 0x2f, 0, unsigned(offset)];
export const storeShort = (address: Code, value: Code, offset = 0): Code => [
  address,
  value,
  0x3b,
  0,
  unsigned(offset),
];

/** Words that several threads write; `add` returns what was there before. */
export const atomic = {
  load: (address: Code): Code => [address, 0xfe, 0x10, 2, 0],
  store: (address: Code, value: Code): Code => [address, value, 0xfe, 0x17, 2, 0],
  add: (address: Code, value: Code): Code => [address, value, 0xfe, 0x1e, 2, 0],
} as const;

/** One 32-bit float, under the names that `vector` has for four. */
export const scalar = {
  type: 'f32',
  bytes: 4,
  load: (address: Code, offset = 0): Code => [address, 0x2a, at(offset)],
  store: (address: Code, value: Code, offset = 0): Code => [address, value, 0x38, at(offset)],
  floats: (value: number): Code => [0x43, floatBytes(value)],
  add: binary([0x92]),
  subtract: binary([0x93]),
  multiply: binary([0x94]),
  divide: binary([0x95]),
  squareRoot: unary([0x91]),
  max: binary([0x97]),
} as const;

/** Four 32-bit lanes. */
export const vector = {
  type: 'v128',
  bytes: 16,
  load: (address: Code, offset = 0): Code => [address, simd(0x00), at(offset)],
  loadSplat: (address: Code, offset = 0): Code => [address, simd(0x09), at(offset)],
  store: (address: Code, value: Code, offset = 0): Code => [address, value, simd(0x0b), at(offset)],
  floats: (value: number): Code => [simd(0x0c), ...Array.from({ length: 4 }, () => floatBytes(value))],
  ints: (value: number): Code => [
    simd(0x0c),
    ...Array.from({ length: 4 }, () => [...new Uint8Array(Int32Array.of(value).buffer)]),
  ],
  /** Lanes of `left` are 0…3, of `right` 4…7. */
  shuffle: (left: Code, right: Code, lanes: readonly [number, number, number, number]): Code => [
    left,
    right,
    simd(0x0d),
    ...lanes.map((lane) => [lane * 4, lane * 4 + 1, lane * 4 + 2, lane * 4 + 3]),
  ],
  splat: unary(simd(0x13)),
  lane: (value: Code, lane: number): Code => [value, simd(0x1f), lane],
  absolute: unary(simd(0xe0)),
  add: binary(simd(0xe4)),
  subtract: binary(simd(0xe5)),
  multiply: binary(simd(0xe6)),
  divide: binary(simd(0xe7)),
  /** The larger lane; of two where one is NaN, `left`. */
  max: (left: Code, right: Code): Code => [left, right, simd(0xeb)],
  /** The larger lane of floats without a sign, NaN the largest of all: they are ordered as their bits are as integers. */
  maxSize: binary(simd(0xb8)),
  lessThan: binary(simd(0x43)),
  /** 1 if any bit is set. */
  any: unary(simd(0x53)),
  /** Bits of `left` where `mask` has none. */
  andNot: (left: Code, mask: Code): Code => [left, mask, simd(0x4f)],
  nearest: unary(simd(0x6a)),
  toInts: unary(simd(0xf8)),
  /** The same for floats within 32 bits, in one instruction where `toInts` takes some; of others anything may come. (relaxed SIMD) */
  toIntsWithin: unary(simd(0x101)),
  addInts: binary(simd(0xae)),
  shiftLeft: (value: Code, bits: number): Code => [value, int(bits), simd(0xab)],
  /** a · b + c, rounded once where the machine has fused multiply-add. (relaxed SIMD) */
  multiplyAdd: (a: Code, b: Code, c: Code): Code => [a, b, c, simd(0x105)],
  /** c − a · b */
  negativeMultiplyAdd: (a: Code, b: Code, c: Code): Code => [a, b, c, simd(0x106)],
} as const;

/** Sixteen 8-bit, eight 16-bit or four 32-bit integers. */
export const integers = {
  bytes: (value: number): Code => constant(new Uint8Array(16).fill(value)),
  shorts: (value: number): Code => constant(new Uint16Array(8).fill(value)),
  /** Four bytes, in every 32-bit lane; nothing is asked of the address. */
  loadFourSplat: (address: Code, offset = 0): Code => [address, simd(0x09), 0, unsigned(offset)],
  /** Eight bytes, unsigned, in 16-bit lanes. */
  loadBytes: (address: Code, offset = 0): Code => [address, simd(0x02), 0, unsigned(offset)],
  /** Four shorts, unsigned, in 32-bit lanes. */
  loadShorts: (address: Code, offset = 0): Code => [address, simd(0x04), 0, unsigned(offset)],
  /** The low half. */
  storeLow: (address: Code, value: Code, offset = 0): Code => [
    address,
    value,
    simd(0x5b),
    0,
    unsigned(offset),
    0,
  ],
  /** One of eight shorts, or of four 32-bit lanes. */
  storeShort: (address: Code, value: Code, lane: number, offset = 0): Code => [
    address,
    value,
    simd(0x59),
    0,
    unsigned(offset),
    lane,
  ],
  storeWord: (address: Code, value: Code, lane: number, offset = 0): Code => [
    address,
    value,
    simd(0x5a),
    0,
    unsigned(offset),
    lane,
  ],
  and: binary(simd(0x4e)),
  /** Bits of `left` where `mask` is set, of `right` elsewhere. */
  select: (left: Code, right: Code, mask: Code): Code => [left, right, mask, simd(0x52)],
  /** 32-bit lanes, with zeros from the left. */
  shiftRight: (value: Code, bits: number): Code => [value, int(bits), simd(0xad)],
  shiftShortsRight: (value: Code, bits: number): Code => [value, int(bits), simd(0x8d)],
  addShorts: binary(simd(0x8e)),
  subtractInts: binary(simd(0xb1)),
  /** Sums of two neighbouring products of signed bytes with bytes of seven bits. (relaxed SIMD, exact for these) */
  dotBytes: binary(simd(0x112)),
  /** `sums` and four neighbouring products of such bytes each, in 32 bits. (relaxed SIMD, exact for these) */
  dotBytesAdd: (left: Code, right: Code, sums: Code): Code => [left, right, sums, simd(0x113)],
  /** Sums of two neighbouring products of shorts, in 32 bits. */
  dotShorts: binary(simd(0xba)),
  /** Low half of the lanes, unsigned, to twice the width. */
  widenShorts: unary(simd(0xa9)),
  /** The high half. */
  widenHighShorts: unary(simd(0xaa)),
  toFloats: unary(simd(0xfa)),
  /** Both operands' lanes, saturated, to half the width. */
  narrowToShorts: binary(simd(0x85)),
  narrowToUnsignedShorts: binary(simd(0x86)),
  narrowToBytes: binary(simd(0x65)),
  shuffleBytes: (value: Code, order: readonly number[]): Code => [value, value, simd(0x0d), [...order]],
} as const;

/** Runs `body` while `condition` holds. */
export const loopWhile = (condition: Code, body: Code): Code => [
  [0x02, 0x40, 0x03, 0x40],
  [condition, 0x45, 0x0d, 1],
  body,
  [0x0c, 0, 0x0b, 0x0b],
];

/** Runs `body` with `index` = from, from + step, … while below `end`; `end` is evaluated before each turn. */
export const loopOver = (index: Local, from: Code, end: Code, step: number, body: Code): Code => [
  set(index, from),
  loopWhile(lessThan(get(index), end), [body, set(index, add(get(index), int(step)))]),
];

export const ifElse = (condition: Code, then: Code, otherwise: Code = []): Code => [
  condition,
  0x04,
  0x40,
  then,
  0x05,
  otherwise,
  0x0b,
];

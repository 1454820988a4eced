/**
 * How elements are packed. Quantised formats store blocks of consecutive elements of a row; plain ones have blocks of
 * one element. Layouts are those of ggml (ggml-common.h), little-endian.
 */
export interface TensorFormat {
  readonly name: string;
  /** Elements in one block. */
  readonly elements: number;
  /** Bytes of one block. */
  readonly bytes: number;
  /** Decodes every whole block of `source` into `target`; both start at element 0. */
  readonly decode: (source: Uint8Array, target: Float32Array) => void;
}

type DecodeBlock = (view: DataView, at: number, target: Float32Array, to: number) => void;

function blocks(name: string, elements: number, bytes: number, decodeBlock: DecodeBlock): TensorFormat {
  return {
    name,
    elements,
    bytes,
    decode: (source, target) => {
      const view = new DataView(source.buffer, source.byteOffset, source.byteLength);
      for (let at = 0, to = 0; at < source.byteLength; at += bytes, to += elements) {
        decodeBlock(view, at, target, to);
      }
    },
  };
}

export const F32 = blocks('F32', 1, 4, (view, at, target, to) => {
  target[to] = view.getFloat32(at, true);
});

export const F16 = blocks('F16', 1, 2, (view, at, target, to) => {
  target[to] = view.getFloat16(at, true);
});

export const BF16: TensorFormat = {
  name: 'BF16',
  elements: 1,
  bytes: 2,
  decode: (source, target) => {
    // A bfloat16 is the upper half of a float32.
    const bits = new Uint32Array(target.buffer, target.byteOffset, target.length);
    for (let index = 0; index < source.length / 2; index++) {
      bits[index] = ((source[2 * index + 1]! << 8) | source[2 * index]!) << 16;
    }
  },
};

/** f16 scale, 32 signed bytes. */
const Q8_0 = blocks('Q8_0', 32, 34, (view, at, target, to) => {
  const scale = view.getFloat16(at, true);
  for (let i = 0; i < 32; i++) target[to + i] = scale * view.getInt8(at + 2 + i);
});

/** f16 scale, 16 bytes: low nibbles are elements 0–15, high nibbles 16–31, both minus 8. */
const Q4_0 = blocks('Q4_0', 32, 18, (view, at, target, to) => {
  const scale = view.getFloat16(at, true);
  for (let i = 0; i < 16; i++) {
    const pair = view.getUint8(at + 2 + i);
    target[to + i] = scale * ((pair & 15) - 8);
    target[to + 16 + i] = scale * ((pair >> 4) - 8);
  }
});

/** As Q4_0 with an f16 minimum instead of the −8. */
const Q4_1 = blocks('Q4_1', 32, 20, (view, at, target, to) => {
  const scale = view.getFloat16(at, true);
  const least = view.getFloat16(at + 2, true);
  for (let i = 0; i < 16; i++) {
    const pair = view.getUint8(at + 4 + i);
    target[to + i] = Math.fround(scale * (pair & 15)) + least;
    target[to + 16 + i] = Math.fround(scale * (pair >> 4)) + least;
  }
});

/** f16 scale, 32 fifth bits, nibbles as in Q4_0; values minus 16. */
const Q5_0 = blocks('Q5_0', 32, 22, (view, at, target, to) => {
  const scale = view.getFloat16(at, true);
  const high = view.getUint32(at + 2, true);
  for (let i = 0; i < 16; i++) {
    const pair = view.getUint8(at + 6 + i);
    target[to + i] = scale * (((pair & 15) | (((high >>> i) & 1) << 4)) - 16);
    target[to + 16 + i] = scale * (((pair >> 4) | (((high >>> (i + 16)) & 1) << 4)) - 16);
  }
});

const Q5_1 = blocks('Q5_1', 32, 24, (view, at, target, to) => {
  const scale = view.getFloat16(at, true);
  const least = view.getFloat16(at + 2, true);
  const high = view.getUint32(at + 4, true);
  for (let i = 0; i < 16; i++) {
    const pair = view.getUint8(at + 8 + i);
    target[to + i] = Math.fround(scale * ((pair & 15) | (((high >>> i) & 1) << 4))) + least;
    target[to + 16 + i] = Math.fround(scale * ((pair >> 4) | (((high >>> (i + 16)) & 1) << 4))) + least;
  }
});

/** The 6-bit scale and minimum of group `group` of 8, packed in 12 bytes (get_scale_min_k4). */
function groupScale(view: DataView, at: number, group: number): { scale: number; least: number } {
  if (group < 4) return { scale: view.getUint8(at + group) & 63, least: view.getUint8(at + group + 4) & 63 };
  const low = view.getUint8(at + group + 4);
  return {
    scale: (low & 15) | ((view.getUint8(at + group - 4) >> 6) << 4),
    least: (low >> 4) | ((view.getUint8(at + group) >> 6) << 4),
  };
}

/** Eight groups of 32: f16 scale of scales, f16 scale of minima, 12 bytes of 6-bit pairs, then the nibbles. */
function kBlock(bytes: number, fifthBits: boolean): DecodeBlock {
  const nibbles = bytes - 128;
  return (view, at, target, to) => {
    const scale = view.getFloat16(at, true);
    const leastScale = view.getFloat16(at + 2, true);
    for (let group = 0; group < 8; group++) {
      const packed = groupScale(view, at + 4, group);
      const step = Math.fround(scale * packed.scale);
      const least = Math.fround(leastScale * packed.least);
      for (let i = 0; i < 32; i++) {
        const pair = view.getUint8(at + nibbles + (group >> 1) * 32 + i);
        const fifth = fifthBits ? ((view.getUint8(at + 16 + i) >> group) & 1) << 4 : 0;
        const value = (group & 1 ? pair >> 4 : pair & 15) | fifth;
        target[to + group * 32 + i] = Math.fround(step * value) - least;
      }
    }
  };
}

const Q4_K = blocks('Q4_K', 256, 144, kBlock(144, false));
const Q5_K = blocks('Q5_K', 256, 176, kBlock(176, true));

/** 128 bytes of low nibbles, 64 of upper bit pairs, 16 signed scales, f16 scale of scales; values minus 32. */
const Q6_K = blocks('Q6_K', 256, 210, (view, at, target, to) => {
  const scale = view.getFloat16(at + 208, true);
  for (let i = 0; i < 256; i++) {
    const [half, within] = [i >> 7, i & 127];
    const low = view.getUint8(at + half * 64 + (within & 63));
    const high = view.getUint8(at + 128 + half * 32 + (within & 31));
    const value = (within < 64 ? low & 15 : low >> 4) | (((high >> (2 * (within >> 5))) & 3) << 4);
    target[to + i] = Math.fround(scale * view.getInt8(at + 192 + (i >> 4))) * (value - 32);
  }
});

/** By ggml type number. */
export const GGML_FORMATS: ReadonlyMap<number, TensorFormat> = new Map([
  [0, F32],
  [1, F16],
  [2, Q4_0],
  [3, Q4_1],
  [6, Q5_0],
  [7, Q5_1],
  [8, Q8_0],
  [12, Q4_K],
  [13, Q5_K],
  [14, Q6_K],
  [30, BF16],
]);

/** By the dtype word of a safetensors header. */
export const SAFETENSORS_FORMATS: ReadonlyMap<string, TensorFormat> = new Map(
  [F32, F16, BF16].map((format) => [format.name, format]),
);

/** Columns that share one scale in MatMulNBits. */
export const QUANTIZATION_BLOCK = 32;

/** A linear layer's weight [out, in] in the layout of ONNX Runtime's MatMulNBits. */
export interface QuantizedMatrix {
  readonly bits: 4 | 8;
  /** [out, blocks, blockBytes]; the low nibble of a byte is the earlier column. */
  readonly data: Uint8Array;
  /** [out, blocks] */
  readonly scales: Float32Array;
  /** [out, blocks], packed two a byte for 4 bits; each row starts on a byte. */
  readonly zeroPoints: Uint8Array;
  readonly blocks: number;
}

/**
 * Rounds `weight` [out, in] to `bits` per value with one scale and zero point for every 32 columns of a row:
 * w ≈ (q − zero) · scale. The range always contains 0, so that padding columns stay exactly 0.
 */
export function quantize(weight: Float32Array, out: number, columns: number, bits: 4 | 8): QuantizedMatrix {
  const blocks = Math.ceil(columns / QUANTIZATION_BLOCK);
  const levels = 2 ** bits - 1;
  const blockBytes = (QUANTIZATION_BLOCK * bits) / 8;
  const zeroBytes = bits === 8 ? blocks : Math.ceil(blocks / 2);
  const data = new Uint8Array(out * blocks * blockBytes);
  const scales = new Float32Array(out * blocks);
  const zeroPoints = new Uint8Array(out * zeroBytes);
  for (let row = 0; row < out; row++) {
    for (let block = 0; block < blocks; block++) {
      const first = row * columns + block * QUANTIZATION_BLOCK;
      const end = Math.min(first + QUANTIZATION_BLOCK, (row + 1) * columns);
      let low = 0;
      let high = 0;
      for (let at = first; at < end; at++) {
        const value = weight[at]!;
        if (value < low) low = value;
        if (value > high) high = value;
      }
      const scale = Math.fround((high - low) / levels) || 1;
      const zero = Math.min(levels, Math.max(0, Math.round(-low / scale)));
      scales[row * blocks + block] = scale;
      if (bits === 8) zeroPoints[row * zeroBytes + block] = zero;
      else zeroPoints[row * zeroBytes + (block >> 1)]! |= zero << ((block & 1) * 4);
      const base = (row * blocks + block) * blockBytes;
      for (let column = 0; column < QUANTIZATION_BLOCK; column++) {
        const at = first + column;
        const level = at < end ? Math.min(levels, Math.max(0, Math.round(weight[at]! / scale) + zero)) : zero;
        if (bits === 8) data[base + column] = level;
        else data[base + (column >> 1)]! |= level << ((column & 1) * 4);
      }
    }
  }
  return { bits, data, scales, zeroPoints, blocks };
}

/** A linear layer's weight with one scale for each output: w ≈ q · scale, laid out as the right side of a product. */
export interface ChannelMatrix {
  /** [in, out], −63 … 63. */
  readonly data: Int8Array;
  /** [out] */
  readonly scales: Float32Array;
}

/**
 * Seven bits: with unsigned eight-bit inputs a pair of products then fits the 16 bits in which processors without VNNI add
 * it, 2 · 255 · 63 < 2¹⁵, so the sums are exact on every machine.
 */
const CHANNEL_LEVELS = 63;

/** Rounds `weight` [out, in] to seven bits with one scale for each of its `out` outputs. */
export function quantizeChannels(weight: Float32Array, out: number, columns: number): ChannelMatrix {
  const data = new Int8Array(columns * out);
  const scales = new Float32Array(out);
  for (let row = 0; row < out; row++) {
    let largest = 0;
    for (let column = 0; column < columns; column++) {
      largest = Math.max(largest, Math.abs(weight[row * columns + column]!));
    }
    const scale = Math.fround(largest / CHANNEL_LEVELS) || 1;
    scales[row] = scale;
    for (let column = 0; column < columns; column++) {
      data[column * out + row] = Math.round(weight[row * columns + column]! / scale);
    }
  }
  return { data, scales };
}

/** What `quantizeChannels` rounded, [out, in]. */
export function dequantizeChannels(
  { data, scales }: ChannelMatrix,
  out: number,
  columns: number,
): Float32Array {
  const weight = new Float32Array(out * columns);
  for (let column = 0; column < columns; column++) {
    for (let row = 0; row < out; row++) {
      weight[row * columns + column] = data[column * out + row]! * scales[row]!;
    }
  }
  return weight;
}

/** What `quantize` rounded, [out, in]. */
export function dequantizeBlocks(
  { bits, data, scales, zeroPoints, blocks }: QuantizedMatrix,
  out: number,
  columns: number,
): Float32Array {
  const weight = new Float32Array(out * columns);
  const blockBytes = (QUANTIZATION_BLOCK * bits) / 8;
  const zeroBytes = bits === 8 ? blocks : Math.ceil(blocks / 2);
  const level = (bytes: Uint8Array, start: number, at: number): number =>
    bits === 8 ? bytes[start + at]! : (bytes[start + (at >> 1)]! >> ((at & 1) * 4)) & 15;
  for (let row = 0; row < out; row++) {
    for (let column = 0; column < columns; column++) {
      const block = Math.floor(column / QUANTIZATION_BLOCK);
      const place = row * blocks + block;
      const zero = level(zeroPoints, row * zeroBytes, block);
      const value = level(data, place * blockBytes, column % QUANTIZATION_BLOCK);
      weight[row * columns + column] = (value - zero) * scales[place]!;
    }
  }
  return weight;
}

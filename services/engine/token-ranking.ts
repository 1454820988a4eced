/** Tokens from the likeliest down. */
export interface TokenRanking {
  /** Descending; equal logits by ascending id. */
  readonly logits: Float32Array;
  readonly ids: Int32Array;
  /** True when the ranking holds the whole vocabulary, false when it is its first part. */
  readonly complete: boolean;
}

const ID_SPAN = 2 ** 21;

const floatView = new Float32Array(1);
const bitsView = new Uint32Array(floatView.buffer);

/** Unsigned 32-bit number that is smaller the larger the float is. */
function descendingKey(value: number): number {
  floatView[0] = value + 0; // −0 ranks with 0
  const bits = bitsView[0]!;
  return bits >= 0x80000000 ? bits : 0x7fffffff - bits;
}

/** Ranks the tokens whose logit is at least `floor`, for vocabularies below 2²¹ tokens. */
export function rankTokens(logits: Float32Array, floor = Number.NEGATIVE_INFINITY): TokenRanking {
  // A logit's 32 bits and its token's 21 are exact in a double, and doubles sort natively, without a comparator.
  const keys: number[] = [];
  for (let id = 0; id < logits.length; id++) {
    if (logits[id]! >= floor) keys.push(descendingKey(logits[id]!) * ID_SPAN + id);
  }
  const ids = Int32Array.from(Float64Array.from(keys).sort(), (key) => key % ID_SPAN);
  return {
    ids,
    logits: Float32Array.from(ids, (id) => logits[id]!),
    complete: ids.length === logits.length,
  };
}

import type { Fields } from './fields.ts';
import type { RopeSpec } from './model-spec.ts';

/** base^(2i/dim), i = 0 … dim/2 − 1, in the float steps of the reference implementations. */
const positionFrequencies = (base: number, dim: number): number[] =>
  Array.from({ length: dim / 2 }, (_, index) => Math.fround(base ** Math.fround((2 * index) / dim)));

const inverse = (frequencies: readonly number[]): number[] =>
  frequencies.map((value) => Math.fround(1 / value));

export const defaultRope = (base: number, dim: number): RopeSpec => ({
  inverseFrequencies: inverse(positionFrequencies(base, dim)),
  attentionFactor: 1,
});

/** Position interpolation: every frequency is divided by `factor`. */
export const linearRope = (base: number, dim: number, factor: number): RopeSpec => ({
  inverseFrequencies: defaultRope(base, dim).inverseFrequencies.map((value) => Math.fround(value / factor)),
  attentionFactor: 1,
});

export interface Llama3Scaling {
  readonly factor: number;
  readonly lowFreqFactor: number;
  readonly highFreqFactor: number;
  /** Context in positions before scaling. */
  readonly original: number;
}

/** Llama 3.1: long wavelengths are divided by `factor`, short ones stay, those between are blended. */
export function llama3Rope(base: number, dim: number, scaling: Llama3Scaling): RopeSpec {
  const { factor, lowFreqFactor, highFreqFactor, original } = scaling;
  const inverseFrequencies = defaultRope(base, dim).inverseFrequencies.map((value) => {
    const wavelength = (2 * Math.PI) / value;
    if (wavelength > original / lowFreqFactor) return Math.fround(value / factor);
    if (wavelength < original / highFreqFactor) return value;
    const smooth = (original / wavelength - lowFreqFactor) / (highFreqFactor - lowFreqFactor);
    return Math.fround(((1 - smooth) * value) / factor + smooth * value);
  });
  return { inverseFrequencies, attentionFactor: 1 };
}

export interface YarnScaling {
  readonly factor: number;
  readonly original: number;
  readonly betaFast: number;
  readonly betaSlow: number;
  /** Factor on cosine and sine; by default 0.1·ln(factor) + 1. */
  readonly attentionFactor?: number;
  /** Rounds the correction range outwards to whole dimensions. */
  readonly truncate: boolean;
}

export const yarnMagnitude = (factor: number, scale = 1): number =>
  factor <= 1 ? 1 : 0.1 * scale * Math.log(factor) + 1;

/** YaRN (arXiv 2309.00071): fast dimensions extrapolate, slow ones interpolate, a linear ramp lies between. */
export function yarnRope(base: number, dim: number, scaling: YarnScaling): RopeSpec {
  const { factor, original, betaFast, betaSlow, truncate } = scaling;
  const correction = (rotations: number) =>
    (dim * Math.log(original / (rotations * 2 * Math.PI))) / (2 * Math.log(base));
  const [fast, slow] = [correction(betaFast), correction(betaSlow)];
  const low = Math.max(truncate ? Math.floor(fast) : fast, 0);
  const rawHigh = Math.min(truncate ? Math.ceil(slow) : slow, dim - 1);
  const high = rawHigh === low ? rawHigh + 0.001 : rawHigh;
  const inverseFrequencies = positionFrequencies(base, dim).map((value, index) => {
    const ramp = Math.min(Math.max((index - low) / (high - low), 0), 1);
    return Math.fround(ramp / (factor * value) + (1 - ramp) / value);
  });
  return { inverseFrequencies, attentionFactor: scaling.attentionFactor ?? yarnMagnitude(factor) };
}

/**
 * Rotary embedding of a `config.json`, in the old (`rope_theta`, `rope_scaling`) or the new (`rope_parameters`) style.
 * Both may be there when they say the same.
 * @throws RondoError CHECKPOINT_UNSUPPORTED for scaling types other than default, linear, llama3 and yarn; CHECKPOINT_INVALID
 * for a base or factor that no frequency can be divided by.
 */
export function ropeFromConfig(config: Fields, headDim: number, context: number): RopeSpec {
  const blocks = ['rope_parameters', 'rope_scaling'].flatMap((style) => config.object(style) ?? []);
  for (const fields of [config, ...blocks]) {
    if (fields.number('partial_rotary_factor', 1) !== 1) fields.unsupported('partial_rotary_factor', '1');
  }
  const [first = config] = blocks;
  const base = (first.has('rope_theta') ? first : config).positive('rope_theta', 10_000);
  const [rope = defaultRope(base, headDim), other] = blocks.map((block) =>
    ropeFromBlock(config, block, base, headDim, context),
  );
  if (other && JSON.stringify(other) !== JSON.stringify(rope)) {
    config.unsupported('rope_scaling', 'the same as rope_parameters, or none beside it');
  }
  return rope;
}

function ropeFromBlock(
  config: Fields,
  block: Fields,
  defaultBase: number,
  headDim: number,
  context: number,
): RopeSpec {
  const base = block.positive('rope_theta', defaultBase);
  const typeKey = block.has('rope_type') ? 'rope_type' : 'type';
  const original = config.has('original_max_position_embeddings') ? config : block;
  const originalContext = () => original.count('original_max_position_embeddings', context);
  switch (block.text(typeKey, 'default')) {
    case 'default':
      if (!block.has(typeKey) && !block.has('rope_theta')) block.unsupported(typeKey, SUPPORTED);
      return defaultRope(base, headDim);
    case 'linear':
      return linearRope(base, headDim, block.positive('factor'));
    case 'llama3':
      return llama3Rope(base, headDim, {
        factor: block.positive('factor'),
        lowFreqFactor: block.positive('low_freq_factor'),
        highFreqFactor: block.positive('high_freq_factor'),
        original: originalContext(),
      });
    case 'yarn': {
      const factor = block.has('factor') ? block.positive('factor') : context / originalContext();
      const attentionFactor = yarnAttentionFactor(block, factor);
      return yarnRope(base, headDim, {
        factor,
        original: originalContext(),
        betaFast: block.positive('beta_fast', 32),
        betaSlow: block.positive('beta_slow', 1),
        truncate: block.flag('truncate', true),
        ...(attentionFactor !== undefined && { attentionFactor }),
      });
    }
    default:
      return block.unsupported(typeKey, SUPPORTED);
  }
}

const SUPPORTED = 'default, linear, llama3, yarn';

function yarnAttentionFactor(block: Fields, factor: number): number | undefined {
  if (block.has('attention_factor')) return block.positive('attention_factor');
  const [scale, scaleAllDim] = [block.number('mscale', 0), block.number('mscale_all_dim', 0)];
  if (scale && scaleAllDim) return yarnMagnitude(factor, scale) / yarnMagnitude(factor, scaleAllDim);
  return undefined;
}

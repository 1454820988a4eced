/**
 * Fills cos and sin [positions, headDim / 2], from position `first` on, of position · frequency, times `factor` (YaRN), in the float steps of the
 * reference implementations: the angle is rounded to f32 first. (Su et al. 2021, RoFormer, eq. 34)
 */
export function fillRotaryTable(
  cos: Float32Array,
  sin: Float32Array,
  inverseFrequencies: readonly number[],
  factor: number,
  first = 0,
): void {
  const half = inverseFrequencies.length;
  for (let at = 0; at < cos.length; at++) {
    const angle = Math.fround((first + Math.floor(at / half)) * inverseFrequencies[at % half]!);
    cos[at] = Math.fround(Math.cos(angle)) * factor;
    sin[at] = Math.fround(Math.sin(angle)) * factor;
  }
}

/** From blue, left early, by magenta to orange, went all the way: lighter as it goes, for eyes that see fewer colours. */
export function depthColour(depth: number, maxDepth: number): string {
  const share = maxDepth > 1 ? Math.min(1, depth / (maxDepth - 1)) : 0;
  const hue = (255 + 165 * share) % 360;
  return `oklch(${(0.58 + 0.16 * share).toFixed(3)} 0.16 ${hue.toFixed(0)})`;
}

/** Colours of curves, told apart by hue and lightness. */
export const CURVE_COLOURS: readonly string[] = [
  'oklch(0.62 0.16 255)',
  'oklch(0.72 0.16 60)',
  'oklch(0.62 0.14 165)',
  'oklch(0.62 0.19 340)',
  'oklch(0.55 0.16 295)',
  'oklch(0.68 0.14 115)',
];

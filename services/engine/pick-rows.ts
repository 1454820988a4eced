/** `picked` [rows.length · width] back to where `pickRows` found it among `count` rows; NaN is between. */
export function spreadRows(
  picked: Float32Array,
  rows: readonly number[],
  count: number,
  width: number,
): Float32Array {
  const spread = new Float32Array(count * width).fill(Number.NaN);
  rows.forEach((row, at) => {
    spread.set(picked.subarray(at * width, (at + 1) * width), row * width);
  });
  return spread;
}

/** Rows of `states` [N·hidden], [rows.length · hidden]: a view where they are neighbours, as rising rows may be, else a copy. */
export function pickRows(states: Float32Array, rows: readonly number[], hidden: number): Float32Array {
  const [first = 0, last = -1] = [rows[0], rows.at(-1)];
  if (last - first === rows.length - 1) return states.subarray(first * hidden, (last + 1) * hidden);
  const picked = new Float32Array(rows.length * hidden);
  rows.forEach((row, at) => {
    picked.set(states.subarray(row * hidden, (row + 1) * hidden), at * hidden);
  });
  return picked;
}

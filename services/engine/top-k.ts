/**
 * The largest of `logits`, falling, and their ids, into `topLogits` and `topIds`, as many as these hold; of equal ones the
 * lower id first.
 */
export function topK(logits: Float32Array, topLogits: Float32Array, topIds: Int32Array): void {
  const count = topLogits.length;
  let held = 0;
  for (let id = 0; ; id++) {
    if (held === count) id = nextAbove(logits, id, topLogits[count - 1]!);
    if (id >= logits.length) return;
    const logit = logits[id]!;
    let at = held < count ? held++ : count - 1;
    while (at > 0 && topLogits[at - 1]! < logit) {
      topLogits[at] = topLogits[at - 1]!;
      topIds[at] = topIds[at - 1]!;
      at--;
    }
    topLogits[at] = logit;
    topIds[at] = id;
  }
}

/** The first id from `id` on whose logit is above `bound`, or how many there are. Few are: eight looked at together take 40 % of the time. */
function nextAbove(logits: Float32Array, id: number, bound: number): number {
  let at = id;
  while (
    at + 8 <= logits.length &&
    !(
      logits[at]! > bound ||
      logits[at + 1]! > bound ||
      logits[at + 2]! > bound ||
      logits[at + 3]! > bound ||
      logits[at + 4]! > bound ||
      logits[at + 5]! > bound ||
      logits[at + 6]! > bound ||
      logits[at + 7]! > bound
    )
  ) {
    at += 8;
  }
  while (at < logits.length && !(logits[at]! > bound)) at++;
  return at;
}

/**
 * The largest of `logits`, falling, and their ids, into `topLogits` and `topIds`, as many as these hold; of equal ones the
 * lower id first.
 */
export function likeliest(logits: Float32Array, topLogits: Float32Array, topIds: Int32Array): void {
  const count = topLogits.length;
  let held = 0;
  let bound = Number.NEGATIVE_INFINITY;
  for (let id = 0; id < logits.length; id++) {
    const logit = logits[id]!;
    if (held === count && !(logit > bound)) continue;
    let at = held < count ? held++ : count - 1;
    while (at > 0 && topLogits[at - 1]! < logit) {
      topLogits[at] = topLogits[at - 1]!;
      topIds[at] = topIds[at - 1]!;
      at--;
    }
    topLogits[at] = logit;
    topIds[at] = id;
    bound = topLogits[held - 1]!;
  }
}

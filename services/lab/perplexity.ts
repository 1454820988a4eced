import type { SerialModel } from './serial-model.ts';

export interface PerplexityOptions {
  /** Positions of one window; each is scored from an empty context. */
  readonly window: number;
  /** Rows of one forward call. */
  readonly chunkRows: number;
  readonly onWindow?: (done: number, total: number) => void;
}

/**
 * Mean negative log likelihood in nats of each token of `ids` given those before it in its window (the first token of
 * a window is not scored). The last window holds the rest, unless that is a single token. Perplexity is exp of it. NaN for fewer
 * than two tokens.
 */
export async function meanNegativeLogLikelihood(
  model: Pick<SerialModel, 'reset' | 'forward'>,
  ids: readonly number[],
  options: PerplexityOptions,
): Promise<number> {
  // A rest of one has nothing to be scored.
  const windows = Math.ceil((ids.length - 1) / options.window);
  let sum = 0;
  let count = 0;
  for (let window = 0; window < windows; window++) {
    model.reset();
    const part = ids.slice(window * options.window, (window + 1) * options.window);
    for (let first = 0; first < part.length; first += options.chunkRows) {
      const rows = part.slice(first, first + options.chunkRows);
      const logits = await model.forward(rows);
      const vocab = logits.length / rows.length;
      for (let row = 0; row < rows.length; row++) {
        const next = part[first + row + 1];
        if (next === undefined) continue;
        sum -= logProbability(logits.subarray(row * vocab, (row + 1) * vocab), next);
        count++;
      }
    }
    options.onWindow?.(window + 1, windows);
  }
  return sum / count;
}

/** log softmax(logits)[id], in nats. */
export function logProbability(logits: Float32Array, id: number): number {
  let max = Number.NEGATIVE_INFINITY;
  for (const logit of logits) if (logit > max) max = logit;
  let sum = 0;
  for (const logit of logits) sum += Math.exp(logit - max);
  return logits[id]! - max - Math.log(sum);
}

/** Label combinations that one metric keeps; later ones are recorded as `other`: no client can grow our memory. */
export const SERIES_MAX = 256;

const OTHER = 'other';

export type LabelValues = Readonly<Record<string, string>>;

/** The arguments of a metric's methods: a value alone, or labels and a value. */
export type Recorded = [first?: number | LabelValues, second?: number | undefined];

/** Keeps the label combinations of one metric bounded. */
export class Series {
  readonly labels: readonly string[];
  readonly #known = new Set<string>();

  constructor(labels: readonly string[]) {
    this.labels = labels;
  }

  /** The labels and value to hand to prom-client. */
  resolve(constant: LabelValues, [first, second]: Recorded): [LabelValues, number | undefined] {
    if (typeof first !== 'object') return [constant, first];
    return [{ ...this.#bounded(first), ...constant }, second];
  }

  #bounded(labels: LabelValues): LabelValues {
    const key = JSON.stringify(this.labels.map((label) => labels[label]));
    if (this.#known.has(key)) return labels;
    if (this.#known.size < SERIES_MAX) {
      this.#known.add(key);
      return labels;
    }
    return Object.fromEntries(Object.keys(labels).map((label) => [label, OTHER]));
  }
}

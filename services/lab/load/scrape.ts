/** The samples of a Prometheus page by series, such as `rondo_queue_seconds_sum` or `name{label="value"}`. */
export class Scrape {
  readonly #samples: ReadonlyMap<string, number>;

  private constructor(samples: ReadonlyMap<string, number>) {
    this.#samples = samples;
  }

  /** @throws TypeError when nothing answers at `<url>/metrics`. */
  static async of(url: string): Promise<Scrape> {
    return Scrape.parse(await (await fetch(`${url}/metrics`)).text());
  }

  static parse(page: string): Scrape {
    const samples = new Map<string, number>();
    for (const line of page.split('\n')) {
      const space = line.lastIndexOf(' ');
      if (!line.startsWith('#') && space > 0)
        samples.set(line.slice(0, space), Number(line.slice(space + 1)));
    }
    return new Scrape(samples);
  }

  /** Upper bounds of a histogram's buckets, and how much is at or below each, over all of its series. */
  buckets(name: string): ReadonlyMap<number, number> {
    const counts = new Map<number, number>();
    for (const [series, value] of this.#samples) {
      const bound = series.startsWith(`${name}_bucket{`) && /\ble="([^"]+)"/.exec(series)?.[1];
      if (!bound) continue;
      const upper = bound === '+Inf' ? Number.POSITIVE_INFINITY : Number(bound);
      counts.set(upper, (counts.get(upper) ?? 0) + value);
    }
    return counts;
  }

  /** Sum over all series of `name`, or those that have `label`, such as `phase="block"`; 0 without any. */
  sum(name: string, label = ''): number {
    let sum = 0;
    for (const [series, value] of this.#samples) {
      const named = series === name || series.startsWith(`${name}{`);
      if (named && series.includes(label)) sum += value;
    }
    return sum;
  }
}

import { RondoError } from '@rondo/core';
import {
  collectDefaultMetrics,
  Counter as PromCounter,
  Gauge as PromGauge,
  Histogram as PromHistogram,
  Registry,
} from 'prom-client';
import { bucketKey, type Exemplar, OPEN_METRICS, openMetrics } from './open-metrics.ts';
import { type LabelValues, type Recorded, Series } from './series.ts';

type Labels<L extends string> = Readonly<Record<L, string>>;

export interface Counter<L extends string = never> {
  inc(value?: number): void;
  inc(labels: Labels<L>, value?: number): void;
}

export interface Gauge<L extends string = never> extends Counter<L> {
  dec(value?: number): void;
  dec(labels: Labels<L>, value?: number): void;
  set(value: number): void;
  set(labels: Labels<L>, value: number): void;
}

export interface Histogram<L extends string = never> {
  observe(value: number): void;
  /** `traceId`: of the trace in which it was observed, for whoever wants to see why. */
  observe(labels: Labels<L>, value: number, traceId?: string): void;
}

interface Registered {
  readonly metric: PromCounter | PromGauge | PromHistogram;
  readonly series: Series;
}

/** What all views of one registry have in common. */
interface Shared {
  readonly registry: Registry;
  readonly registered: Map<string, Registered>;
  /** Of each histogram's buckets the newest observation that has a trace; no more than there are buckets. */
  readonly exemplars: Map<string, Map<string, Exemplar>>;
}

function ownRegistry(): Shared {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  return { registry, registered: new Map(), exemplars: new Map() };
}

/**
 * The metrics of one process, its own CPU, memory and event loop among them. Asking twice for a name gives the same
 * metric, so that two workers in one process add up; `labelled` tells them apart.
 */
export class Metrics {
  readonly #shared: Shared;
  readonly #constant: LabelValues;

  /** Without arguments: a registry of its own. */
  constructor(shared: Shared = ownRegistry(), constant: LabelValues = {}) {
    this.#shared = shared;
    this.#constant = constant;
  }

  /** A view of the same registry that puts `labels` on every metric: all views of a metric must name the same labels. */
  labelled(labels: LabelValues): Metrics {
    return new Metrics(this.#shared, { ...this.#constant, ...labels });
  }

  counter<const L extends string = never>(name: string, help: string, labels: readonly L[] = []): Counter<L> {
    const labelNames = this.#labelNames(labels);
    const { metric, resolve } = this.#register(
      name,
      labelNames,
      PromCounter,
      () => new PromCounter({ name, help, labelNames, registers: [this.#shared.registry] }),
    );
    // Prometheus sees no rise in a series that begins at one.
    if (labels.length === 0) metric.inc(this.#constant, 0);
    return { inc: (...recorded: Recorded) => metric.inc(...resolve(recorded)) };
  }

  gauge<const L extends string = never>(name: string, help: string, labels: readonly L[] = []): Gauge<L> {
    const labelNames = this.#labelNames(labels);
    const { metric, resolve } = this.#register(
      name,
      labelNames,
      PromGauge,
      () => new PromGauge({ name, help, labelNames, registers: [this.#shared.registry] }),
    );
    return {
      inc: (...recorded: Recorded) => metric.inc(...resolve(recorded)),
      dec: (...recorded: Recorded) => metric.dec(...resolve(recorded)),
      set: (...recorded: Recorded) => {
        const [labelValues, value = 0] = resolve(recorded);
        metric.set(labelValues, value);
      },
    };
  }

  /** `buckets`: upper bounds in ascending order, in the unit that the name ends with. */
  histogram<const L extends string = never>(
    name: string,
    help: string,
    buckets: readonly number[],
    labels: readonly L[] = [],
  ): Histogram<L> {
    const labelNames = this.#labelNames(labels);
    const { metric, resolve } = this.#register(
      name,
      labelNames,
      PromHistogram,
      () =>
        new PromHistogram({
          name,
          help,
          labelNames,
          buckets: [...buckets],
          registers: [this.#shared.registry],
        }),
    );
    const exemplars = this.#shared.exemplars.get(name) ?? new Map<string, Exemplar>();
    this.#shared.exemplars.set(name, exemplars);
    return {
      observe(first: number | LabelValues, second?: number, traceId?: string) {
        const [labelValues, value = 0] = resolve([first, second]);
        metric.observe(labelValues, value);
        if (traceId === undefined) return;
        const le = String(buckets.find((bound) => value <= bound) ?? '+Inf');
        exemplars.set(bucketKey({ ...labelValues, le }), { traceId, value, atMs: Date.now() });
      },
    };
  }

  /** All metrics in Prometheus' text format. */
  render(): Promise<string> {
    return this.#shared.registry.metrics();
  }

  /** The same in the format that an Accept header asks for: OpenMetrics, which has exemplars, or Prometheus' own. */
  async rendered(accept: string | undefined): Promise<{ readonly type: string; readonly body: string }> {
    const { registry, exemplars } = this.#shared;
    const text = await registry.metrics();
    if (!accept?.includes('application/openmetrics-text')) return { type: registry.contentType, body: text };
    return { type: OPEN_METRICS, body: openMetrics(text, exemplars) };
  }

  #labelNames(labels: readonly string[]): string[] {
    return [...labels, ...Object.keys(this.#constant)];
  }

  /** The metric of that name, made by `create` the first time. INTERNAL when it exists as something else. */
  #register<M extends Registered['metric']>(
    name: string,
    labelNames: readonly string[],
    kind: abstract new (...args: never[]) => M,
    create: () => M,
  ) {
    let entry = this.#shared.registered.get(name);
    if (entry === undefined) {
      entry = { metric: create(), series: new Series(labelNames) };
      this.#shared.registered.set(name, entry);
    }
    const { metric, series } = entry;
    if (!(metric instanceof kind) || series.labels.join() !== labelNames.join()) {
      throw new RondoError(
        'INTERNAL',
        `metric ${name} exists with another kind or with labels ${series.labels}`,
      );
    }
    const constant = this.#constant;
    // Without labels of its own a view has one series: nothing to bound, and each token passes here.
    const resolve =
      labelNames.length === Object.keys(constant).length
        ? ([first, second]: Recorded) => [constant, typeof first === 'object' ? second : first] as const
        : (recorded: Recorded) => series.resolve(constant, recorded);
    return { metric, resolve };
  }
}

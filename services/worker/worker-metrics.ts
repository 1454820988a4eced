import type { Metrics } from '@rondo/chassis';
import type { ErrorCode, RondoError } from '@rondo/core';
import type { Load } from '@rondo/wire';
import { depthOf, PHASES, type Phase } from './chunk.ts';
import type { KvPools } from './kv-pools.ts';
import type { StepReport } from './step.ts';

const ROW_BUCKETS = [1, 2, 4, 8, 16, 32, 64, 128, 256];
const SECOND_BUCKETS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5];

const HOP_BUCKETS = [0.00025, 0.0005, 0.00075, 0.001, 0.0015, 0.002, 0.003, 0.005, 0.01, 0.025, 0.1, 1];

/** What the sequences on an idle worker are: some live here, or all only run stages here. */
const ROLES = ['home', 'stage'] as const;

/** Where states lie between two runs. */
const PLACES = ['host', 'device'] as const;

const REFUSALS = ['KV_EXHAUSTED', 'OVERLOADED'] as const satisfies readonly ErrorCode[];

/** What a worker tells Prometheus. */
export class WorkerMetrics {
  readonly #load: () => Load;
  readonly #pools: KvPools;
  readonly #rows;
  readonly #seconds;
  readonly #hostSeconds;
  readonly #depths;
  readonly #failures;
  readonly #stale;
  readonly #states;
  readonly #sequences;
  readonly #freePositions;
  readonly #pages;
  readonly #prefixQueries;
  readonly #prefixHits;
  readonly #connectionsRefused;
  readonly #idleChecks;
  readonly #busySeconds;
  readonly #bubbleSeconds;
  readonly #refused;
  #idleSinceMs: number | undefined;
  #idleRole: (typeof ROLES)[number] | undefined;
  readonly #hopSeconds;
  readonly #hopRows;
  readonly #hopBytes;

  constructor(metrics: Metrics, load: () => Load, pools: KvPools) {
    this.#load = load;
    this.#pools = pools;
    this.#rows = metrics.histogram('rondo_step_rows', 'Rows in one engine run', ROW_BUCKETS, ['phase']);
    this.#seconds = metrics.histogram(
      'rondo_step_run_seconds',
      'Time inside the graph runtime of one engine run',
      SECOND_BUCKETS,
      ['phase'],
    );
    this.#hostSeconds = metrics.histogram(
      'rondo_step_host_seconds',
      'Time of one step outside the engine: building the batch, the way to its thread, settling the rows',
      SECOND_BUCKETS,
      ['phase'],
    );
    this.#depths = metrics.histogram(
      'rondo_step_depths',
      'Different depths in one run of the block',
      [1, 2, 3, 4, 8, 16, 32],
    );
    this.#failures = counterOf(metrics, 'phase', PHASES, [
      'rondo_step_failures_total',
      'Engine runs that failed, with all sequences in them',
    ]);
    this.#stale = metrics.counter(
      'rondo_stale_chunks_total',
      'Chunks dropped because their sequence or epoch is not here',
    );
    this.#states = counterOf(metrics, 'place', PLACES, [
      'rondo_state_rows_total',
      'Rows whose state a stack left in the memory of the worker, or on the device of its engine',
    ]);
    this.#sequences = metrics.gauge(
      'rondo_worker_sequences',
      'Sequences that live on this worker or run passes on it',
    );
    this.#freePositions = metrics.gauge(
      'rondo_worker_free_positions',
      'Positions of full-depth K/V that could still be reserved',
    );
    this.#pages = metrics.gauge(
      'rondo_kv_pages',
      'Pages of K/V of all stacks: used by sequences, cached for the next ones, or free',
      ['state'],
    );
    this.#prefixQueries = metrics.counter(
      'rondo_prefix_cache_queries_total',
      'Prompt positions that were looked for in the prefix cache',
    );
    this.#prefixHits = metrics.counter(
      'rondo_prefix_cache_hits_total',
      'Prompt positions that were found in the prefix cache',
    );
    this.#connectionsRefused = metrics.counter(
      'rondo_connections_refused_total',
      'Connections to the port of this worker that were one too many',
    );
    this.#hopSeconds = metrics.histogram(
      'rondo_hop_seconds',
      'From the outbox here to the inbox of another worker, of one frame of rows in 16',
      HOP_BUCKETS,
    );
    this.#hopRows = metrics.histogram('rondo_hop_rows', 'Rows in one frame to another worker', ROW_BUCKETS);
    this.#hopBytes = metrics.counter('rondo_hop_bytes_total', 'Bytes of states sent to other workers');
    this.#idleChecks = metrics.counter(
      'rondo_idle_checks_total',
      'Times that all pages were counted because no sequence was here, and none was missing',
    );
    this.#busySeconds = metrics.counter(
      'rondo_step_busy_seconds_total',
      'Time in steps, runs of the engine included',
    );
    this.#bubbleSeconds = counterOf(metrics, 'role', ROLES, [
      'rondo_step_bubble_seconds_total',
      'Time without a step while sequences live here or run stages here: they wait for other workers or their clients',
    ]);
    this.#refused = counterOf(metrics, 'reason', REFUSALS, [
      'rondo_reservations_refused_total',
      'Sequences and stages that were refused for want of pages or places',
    ]);
    this.occupancy();
  }

  /** A sequence or a stage was not opened; counted when it is room that is missing. */
  refused({ code }: RondoError): void {
    if (REFUSALS.some((reason) => reason === code)) this.#refused.inc({ reason: code });
  }

  /** Nothing is ready; `role` of the sequences that are here, undefined when none is. */
  idles(role: (typeof ROLES)[number] | undefined, nowMs: number): void {
    this.#idleRole = role;
    this.#idleSinceMs = nowMs;
  }

  /** Something is ready again. */
  resumes(nowMs: number): void {
    if (this.#idleSinceMs !== undefined && this.#idleRole)
      this.#bubbleSeconds.inc({ role: this.#idleRole }, (nowMs - this.#idleSinceMs) / 1000);
    this.#idleSinceMs = undefined;
  }

  /** A sequence has come or left. */
  manned(role: (typeof ROLES)[number] | undefined, nowMs: number): void {
    if (this.#idleSinceMs === undefined) return;
    this.resumes(nowMs);
    this.idles(role, nowMs);
  }

  connectionRefused(): void {
    this.#connectionsRefused.inc();
  }

  /** A frame of rows has left for another worker. */
  sent(rows: number, bytes: number): void {
    this.#hopRows.observe({}, rows);
    this.#hopBytes.inc({}, bytes);
  }

  /** A frame of rows took so long from the outbox here to the inbox there. */
  hopped(ms: number): void {
    this.#hopSeconds.observe({}, ms / 1000);
  }

  /** Nobody is here, and every page is accounted for. */
  checkedIdle(): void {
    this.#idleChecks.inc();
  }

  /** Sequences have come or gone. */
  occupancy(): void {
    const { sequences, freePositions } = this.#load();
    this.#sequences.set(sequences);
    this.#freePositions.set(freePositions);
    const { used, cached, free } = this.#pools.pageStates;
    this.#pages.set({ state: 'used' }, used);
    this.#pages.set({ state: 'cached' }, cached);
    this.#pages.set({ state: 'free' }, free);
  }

  ran({ phase, chunks, rows, runMs, stepMs, statesBack }: StepReport): void {
    if (statesBack !== undefined) {
      this.#states.inc({ place: 'host' }, statesBack);
      this.#states.inc({ place: 'device' }, rows - statesBack);
    }
    this.#rows.observe({ phase }, rows);
    this.#seconds.observe({ phase }, runMs / 1000);
    this.#hostSeconds.observe({ phase }, (stepMs - runMs) / 1000);
    this.#busySeconds.inc(Math.max(0, stepMs) / 1000);
    if (phase === 'block') this.#depths.observe({}, new Set(chunks.map(depthOf)).size);
    this.occupancy();
  }

  /** K and V of rows that have left were projected for deeper passes. */
  propagated(ms: number): void {
    this.#busySeconds.inc(ms / 1000);
  }

  failed(phase: Phase): void {
    this.#failures.inc({ phase });
  }

  prefixSought(positions: number, found: number): void {
    this.#prefixQueries.inc(positions);
    this.#prefixHits.inc(found);
  }

  staleChunk(): void {
    this.#stale.inc();
  }
}

/** A counter of each of `values`, from zero on, so that the first of each shows as a rise. */
function counterOf(
  metrics: Metrics,
  label: string,
  values: readonly string[],
  [name, help]: readonly [string, string],
): ReturnType<Metrics['counter']> {
  const counter = metrics.counter(name, help, [label]);
  for (const value of values) counter.inc({ [label]: value }, 0);
  return counter;
}

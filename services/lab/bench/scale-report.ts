import { availableParallelism } from 'node:os';
import { median } from '../load/quantile.ts';
import { atLeast, type Goal, type Plot, type Row } from './suite.ts';

/** One measurement of one number of workers. Cores are processor seconds in a second. */
export interface ScaleSample {
  readonly workers: number;
  readonly clients: number;
  readonly tokensPerS: number;
  /** Requests that did not end well. */
  readonly failed: number;
  readonly coordinatorUsPerToken: number;
  readonly coordinatorCores: number;
  readonly workerCores: number;
  readonly loadCores: number;
  /** Everything on the machine, these three among it. */
  readonly machineCores: number;
  /** Arrival to open, on average. */
  readonly queueMs: number;
  readonly gapP50Ms: number;
  readonly gapP99Ms: number;
}

/** The coordinator runs on one thread: with this share of a core it has no time left to speak of. */
const FULL_CORE = 0.9;

export interface ScaleRow extends Row {
  readonly workers: number;
  readonly 'tokens/s': number;
  readonly 'of linear %': number;
  readonly 'coordinator µs/token': number;
  readonly full: string;
}

/** The median over the repeats of each number of workers; linear is that many times what one worker gives. */
export function scaleRows(samples: readonly ScaleSample[]): ScaleRow[] {
  const counts = [...new Set(samples.map(({ workers }) => workers))];
  const of = (workers: number, pick: (sample: ScaleSample) => number) =>
    median(samples.filter((sample) => sample.workers === workers).map(pick));
  const least = Math.min(...counts);
  const alone = of(least, ({ tokensPerS }) => tokensPerS) / least;
  return counts.map((workers) => {
    const tokensPerS = of(workers, (sample) => sample.tokensPerS);
    const coordinatorCores = of(workers, (sample) => sample.coordinatorCores);
    const machineCores = of(workers, (sample) => sample.machineCores);
    return {
      workers,
      clients: of(workers, ({ clients }) => clients),
      'tokens/s': tokensPerS,
      'of linear %': (100 * tokensPerS) / (alone * workers),
      'coordinator µs/token': of(workers, (sample) => sample.coordinatorUsPerToken),
      'coordinator cores': coordinatorCores,
      'worker cores': of(workers, (sample) => sample.workerCores),
      'load cores': of(workers, (sample) => sample.loadCores),
      'machine cores': machineCores,
      'queue ms': of(workers, (sample) => sample.queueMs),
      'gap p50 ms': of(workers, (sample) => sample.gapP50Ms),
      'gap p99 ms': of(workers, (sample) => sample.gapP99Ms),
      failed: Math.max(...samples.filter((sample) => sample.workers === workers).map(({ failed }) => failed)),
      full: fullPart(coordinatorCores, machineCores),
    };
  });
}

function fullPart(coordinatorCores: number, machineCores: number): string {
  if (coordinatorCores >= FULL_CORE) return 'coordinator';
  return machineCores >= FULL_CORE * availableParallelism() ? 'machine' : '';
}

export function scaleGoals(rows: readonly ScaleRow[]): Goal[] {
  const free = rows.filter(({ full }) => full === '');
  const worst = free.length > 0 ? Math.min(...free.map((row) => row['of linear %'])) : Number.NaN;
  const most = Math.max(...rows.map((row) => row['tokens/s']));
  const reach = free.at(-1)?.workers ?? 0;
  const full = rows.find((row) => row.full === 'coordinator');
  const cheapest = Math.min(...rows.map((row) => row['coordinator µs/token']));
  const beyond = `not reached: the machine is full at ${most.toFixed(0)} tokens/s; ${cheapest.toFixed(0)} µs/token make ${(1e6 / cheapest).toFixed(0)}`;
  return [
    atLeast(`share of linear while nothing is full (up to ${reach} workers), %`, 95, worst),
    {
      name: 'where the coordinator’s core is full',
      goal: 'stated',
      measured: full ? `${full['tokens/s'].toFixed(0)} tokens/s, ${full.workers} workers` : beyond,
      met: full !== undefined,
    },
  ];
}

export const scalePlots: readonly Plot[] = [
  {
    name: 'throughput',
    title: 'Tokens per second of one coordinator by number of timed workers',
    spec: {
      mark: { type: 'line', point: true },
      encoding: {
        x: { field: 'workers', type: 'quantitative', scale: { type: 'log', base: 2 } },
        y: { field: 'tokens/s', type: 'quantitative', scale: { type: 'log', base: 2 } },
      },
    },
  },
  {
    name: 'cpu',
    title: 'Processor time of the coordinator for each token',
    spec: {
      mark: { type: 'line', point: true },
      encoding: {
        x: { field: 'workers', type: 'quantitative', scale: { type: 'log', base: 2 } },
        y: { field: 'coordinator µs/token', type: 'quantitative' },
      },
    },
  },
];

export const scaleNotes = (processes: number, clientsPerWorker: number): string[] => [
  `The engines are timed: they sleep and compute nothing, so that many share this machine. Workers share ${processes} processes, each worker with a port and a gRPC server of its own; ${clientsPerWorker} clients for each worker send streamed completions of 64 to 256 tokens, the next when the last has ended. Coordinator, workers and load generator share the processors: “full” says whether the coordinator’s thread had ${FULL_CORE * 100} % of a core, or the machine’s processors, whoever used them, ran out before.`,
  'Coordinator µs/token is all processor time of its process, garbage collection and requests included, by tokens that reached the clients. Gaps are between tokens at a client; an engine’s own share of a gap is one pass, for the bundle is not looped: the coordinator does the same for a token however many passes it took.',
];

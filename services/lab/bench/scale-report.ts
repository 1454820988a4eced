import { availableParallelism } from 'node:os';
import { median } from '../load/quantile.ts';
import { atLeast, type Goal, type Plot, type Row } from './suite.ts';

/** One measurement of so many workers of so many clients. Cores are processor seconds in a second. */
export interface ScaleSample {
  readonly workers: number;
  /** Clients for each of them, who are as many rows of a pass. */
  readonly clientsEach: number;
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
  readonly clients: number;
  readonly 'tokens/s': number;
  readonly 'of linear %': number;
  readonly 'coordinator µs/token': number;
  readonly full: string;
}

/** The median over the repeats of each number of workers; linear is that many times what one worker of as many clients gives. */
export function scaleRows(samples: readonly ScaleSample[]): ScaleRow[] {
  const crowds = Map.groupBy(samples, ({ clientsEach }) => clientsEach);
  return [...crowds.values()].flatMap((crowd) => {
    const counts = [...Map.groupBy(crowd, ({ workers }) => workers)].sort(([a], [b]) => a - b);
    const [[least, repeats]] = counts as [[number, ScaleSample[]]];
    const alone = median(repeats.map(({ tokensPerS }) => tokensPerS)) / least;
    return counts.map(([, samples]) => scaleRow(samples, alone));
  });
}

/** `alone`: tokens/s of one worker. */
function scaleRow(repeats: readonly ScaleSample[], alone: number): ScaleRow {
  const of = (pick: (sample: ScaleSample) => number) => median(repeats.map(pick));
  const { workers, clientsEach } = repeats[0]!;
  const tokensPerS = of((sample) => sample.tokensPerS);
  const coordinatorCores = of((sample) => sample.coordinatorCores);
  const machineCores = of((sample) => sample.machineCores);
  return {
    workers,
    clients: workers * clientsEach,
    'tokens/s': tokensPerS,
    'of linear %': (100 * tokensPerS) / (alone * workers),
    'coordinator µs/token': of((sample) => sample.coordinatorUsPerToken),
    'coordinator cores': coordinatorCores,
    'worker cores': of((sample) => sample.workerCores),
    'load cores': of((sample) => sample.loadCores),
    'machine cores': machineCores,
    'queue ms': of((sample) => sample.queueMs),
    'gap p50 ms': of((sample) => sample.gapP50Ms),
    'gap p99 ms': of((sample) => sample.gapP99Ms),
    failed: Math.max(...repeats.map(({ failed }) => failed)),
    full: fullPart(coordinatorCores, machineCores),
  };
}

function fullPart(coordinatorCores: number, machineCores: number): string {
  if (coordinatorCores >= FULL_CORE) return 'coordinator';
  return machineCores >= FULL_CORE * availableParallelism() ? 'machine' : '';
}

export function scaleGoals(rows: readonly ScaleRow[]): Goal[] {
  const free = rows.filter(({ full }) => full === '');
  const worst = free.length > 0 ? Math.min(...free.map((row) => row['of linear %'])) : Number.NaN;
  const most = Math.max(...rows.map((row) => row['tokens/s']));
  const reach = Math.max(0, ...free.map(({ workers }) => workers));
  const full = rows.find((row) => row.full === 'coordinator');
  const cheapest = Math.min(...rows.map((row) => row['coordinator µs/token']));
  const beyond = `not reached: the machine is full at ${most.toFixed(0)} tokens/s; ${cheapest.toFixed(0)} µs/token make ${(1e6 / cheapest).toFixed(0)}`;
  return [
    atLeast(`share of linear while nothing is full (up to ${reach} workers), %`, 95, worst),
    {
      name: 'where the coordinator’s core is full',
      goal: 'stated',
      measured: full
        ? `${full['tokens/s'].toFixed(0)} tokens/s, ${full.workers} workers of ${full.clients / full.workers} clients`
        : beyond,
      met: full !== undefined,
    },
  ];
}

const LINES = {
  mark: { type: 'line', point: true },
  transform: [{ calculate: "datum.clients / datum.workers + ' clients'", as: 'each worker' }],
};
const X_WORKERS = { field: 'workers', type: 'quantitative', scale: { type: 'log', base: 2 } };
const BY_CROWD = { field: 'each worker', type: 'nominal' };

export const scalePlots: readonly Plot[] = [
  {
    name: 'throughput',
    title: 'Tokens per second of one coordinator by number of timed workers',
    spec: {
      ...LINES,
      encoding: {
        x: X_WORKERS,
        y: { field: 'tokens/s', type: 'quantitative', scale: { type: 'log', base: 2 } },
        color: BY_CROWD,
      },
    },
  },
  {
    name: 'cpu',
    title: 'Processor time of the coordinator for each token',
    spec: {
      ...LINES,
      encoding: { x: X_WORKERS, y: { field: 'coordinator µs/token', type: 'quantitative' }, color: BY_CROWD },
    },
  },
];

interface Shape {
  readonly processes: number;
  readonly clientsEach: number;
  readonly passMs: number;
}

export const scaleNotes = (wide: Shape, deep: Shape): string[] => [
  `The engines are timed: they sleep and compute nothing, so that many share this machine. Each worker has a port and a gRPC server of its own. Of ${wide.clientsEach} clients each there are many workers, in ${wide.processes} processes, with passes of ${wide.passMs} ms; of ${deep.clientsEach} clients each a few, in one process, with passes of ${deep.passMs} ms: those take less processor time for a token than the coordinator does, so that its core is full first. Clients send streamed completions of 64 to 256 tokens, the next when the last has ended. Coordinator, workers and load generator share the processors: “full” says whether the coordinator’s thread had ${FULL_CORE * 100} % of a core, or the machine’s processors, whoever used them, ran out before.`,
  'Coordinator µs/token is all processor time of its process, garbage collection and requests included, by tokens that reached the clients. Gaps are between tokens at a client; an engine’s own share of a gap is one pass, for the bundle is not looped: the coordinator does the same for a token however many passes it took.',
];

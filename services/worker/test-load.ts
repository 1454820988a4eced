import type { Phase } from './chunk.ts';
import { FIRST_RUN_ROWS } from './first-runs.ts';
import { PassesSpent } from './passes-spent.ts';
import { type BlockCosts, RunCosts } from './run-costs.ts';
import { decide, type ReadyChunk, type StepLimits, type StepPolicy } from './step-policy.ts';

/** Numbers in [0, 1) that follow from a seed. */
export type Draw = () => number;

/** Rows of a prompt or tokens of an answer, log-uniform. */
export interface SimulatedLength {
  readonly least: number;
  readonly most: number;
}

/** Sequences of one worker in simulated time. */
export interface SimulatedLoad {
  readonly policy: StepPolicy;
  readonly limits: StepLimits;
  /** What a run of so many rows takes, in milliseconds; of the coda with the head behind it. */
  readonly takesMs: (phase: Phase, rows: number) => number;
  /** Open loop: Poisson arrivals in a second. Closed loop: clients that ask again at once. */
  readonly arrivals: { readonly ratePerS: number } | { readonly clients: number };
  readonly maxDepth: number;
  /** Passes of a generated row, 1…maxDepth. */
  readonly passes: (draw: Draw) => number;
  readonly prompt: SimulatedLength;
  readonly answer: SimulatedLength;
  readonly forMs: number;
  /** Streams of numbers; 0 is for the arrivals, and each sequence has its own, so that every policy meets the same. */
  readonly draws: (stream: number) => Draw;
}

export interface SimulatedTail {
  /** Time from one token of a sequence to its next, in milliseconds, ascending. */
  readonly gapsMs: Float64Array;
  readonly tokensPerS: number;
  /** What the worker has learnt of its runs. */
  readonly costs: BlockCosts | undefined;
}

interface Sequence {
  readonly draw: Draw;
  left: number;
  lastMs: number | undefined;
}

interface Waiting extends ReadyChunk {
  readonly sequence: Sequence;
  readonly passesDue: number;
}

/** Runs the step policy against a load without an engine: every run takes what `takesMs` says, what arrives meanwhile joins the next. */
export function simulate(load: SimulatedLoad): SimulatedTail {
  const { draws, maxDepth, arrivals } = load;
  const costs = new RunCosts();
  // As a worker's first runs, before it serves.
  for (const rows of FIRST_RUN_ROWS) costs.ran({ phase: 'block', rows, stepMs: load.takesMs('block', rows) });
  const passes = new PassesSpent(maxDepth);
  const gaps: number[] = [];
  let waiting: Waiting[] = [];
  let [nowMs, tokens] = [0, 0];
  let arrived = 0;
  const arrivalDraw = draws(0);
  const between = () =>
    'ratePerS' in arrivals
      ? (-1000 * Math.log(1 - arrivalDraw())) / arrivals.ratePerS
      : Number.POSITIVE_INFINITY;
  const begin = (sequence: Sequence, rows: number, passesDue: number, decodes: boolean) =>
    waiting.push({
      ...{ phase: 'prelude', passes: 0, passesHere: 0, rows, decodes, leaves: false },
      ...{ deferred: false, background: false, sequence, passesDue },
    });
  const arrive = () => {
    const draw = draws(++arrived);
    const rows = logUniform(draw, load.prompt);
    begin({ draw, left: logUniform(draw, load.answer), lastMs: undefined }, rows, maxDepth, rows === 1);
  };
  const token = ({ sequence, passesDue }: Waiting) => {
    tokens++;
    if (sequence.lastMs !== undefined) {
      gaps.push(nowMs - sequence.lastMs);
      passes.spent(passesDue);
    }
    sequence.lastMs = nowMs;
    if (--sequence.left > 0) begin(sequence, 1, load.passes(sequence.draw), true);
    else if ('clients' in arrivals) arrive();
  };
  const settle = (chunk: Waiting) => {
    if (chunk.phase === 'coda') token(chunk);
    else if (chunk.phase === 'prelude') waiting.push({ ...chunk, phase: 'block' });
    else {
      const behind = chunk.passes + 1;
      const phase = behind === chunk.passesDue ? 'coda' : 'block';
      waiting.push({ ...chunk, phase, passes: behind, passesHere: behind, leaves: phase === 'coda' });
    }
  };
  if ('clients' in arrivals) for (let client = 0; client < arrivals.clients; client++) arrive();
  let arrivesMs = between();
  while (nowMs < load.forMs) {
    for (; arrivesMs <= nowMs; arrivesMs += between()) arrive();
    const decision = decide(viewOf(waiting, costs.block, passes.expected), load.limits, load.policy);
    if (!decision) {
      nowMs = arrivesMs;
      continue;
    }
    const { phase, chunks } = decision;
    const taken = new Set(chunks);
    waiting = waiting.filter((chunk) => !taken.has(chunk));
    const rows = chunks.reduce((sum, chunk) => sum + chunk.rows, 0);
    const stepMs = load.takesMs(phase, rows);
    costs.ran({ phase, rows, stepMs });
    nowMs += stepMs;
    for (const chunk of chunks) settle(chunk);
  }
  return { gapsMs: Float64Array.from(gaps).sort(), tokensPerS: (1000 * tokens) / nowMs, costs: costs.block };
}

const viewOf = (
  ready: readonly Waiting[],
  costs: BlockCosts | undefined,
  expectedPasses: readonly number[] | undefined,
) => ({
  ...({ ready, exitPhase: 'coda', decoding: true, hurried: true, backgroundWaited: 0 } as const),
  ...{ costs, expectedPasses },
  decodingShare: Number.POSITIVE_INFINITY,
  leavingShare: 0.5,
});

const logUniform = (draw: Draw, { least, most }: SimulatedLength): number =>
  Math.round(least * (most / least) ** draw());

import { RondoError } from '@rondo/core';
import type { Cell, SuiteContext } from '../suite.ts';
import type { Contestant } from './contestant.ts';
import { type DecodeTimes, PeerProcess } from './peer-process.ts';
import { randomPrompts } from './prompts.ts';

/** New tokens of each sequence in a cell; the rest of its context is prompt. */
export const GENERATED = 64;

/** What one contestant did in one cell, run by run. */
export interface Trial {
  readonly cell: Cell;
  readonly contestant: Contestant;
  readonly runs: DecodeTimes[];
  /** What its process held after each run of a row of them behind the race, when that is limited and the cell is the largest. */
  readonly residentAfter: number[];
}

export interface RacePlan {
  readonly cells: readonly Cell[];
  readonly repeats: number;
  readonly vocab: number;
  /** Times on the monotonic clock, in milliseconds: after them no repeat begins, none of the race, none behind it. */
  readonly lastRepeatMs: number;
  readonly lastRunMs: number;
  readonly lastMemoryRunMs: number;
  /** Behind the race, of each whose memory is limited, to tell whether it grows. */
  readonly memoryRuns: number;
  readonly duels: DuelPlan;
}

/** Behind the race the fastest of one engine's variants takes turns with those of another that may be its fastest. */
export interface DuelPlan {
  readonly engine: string;
  readonly rival: string;
  readonly matches: readonly Match[];
}

export type Phase = 'decode' | 'prefill';

/** What is done by turns, in one of the race's cells. */
export interface Match {
  readonly phase: Phase;
  readonly cell: Cell;
  readonly rounds: number;
}

/** What each of a match's rivals took, round by round, in times of what ours took in the same round. */
export interface Duel extends Match {
  readonly ours: Contestant;
  readonly rivals: readonly { readonly contestant: Contestant; readonly ratios: number[] }[];
  /** What the process of ours held after each of its turns. */
  readonly residentBytes: number[];
}

/** Runs behind the race that tell whether memory grows: by then every cell has run, and each needs what the last one needed. */
export const MEMORY_RUNS = 4;

/** A variant this much slower than its engine's fastest, in decoding and in prefill, is not repeated. */
const HOPELESS = 0.75;

export interface RaceResult {
  readonly trials: readonly Trial[];
  readonly duels: readonly Duel[];
  /** Contestants that failed, with the reason. */
  readonly failures: ReadonlyMap<Contestant, string>;
  /** Cells that some contestants did not run in for lack of time. */
  readonly unfinished: readonly Cell[];
}

/**
 * Runs every contestant in every cell, turn by turn and all cells once before any again, so that a machine whose speed
 * drifts slows them all alike. One computes at a time. A contestant that fails is out of the race, and said so. Behind the race
 * are the duels, and then those whose memory is limited run the largest cell a few times more.
 */
export async function race(
  context: SuiteContext,
  contestants: readonly Contestant[],
  plan: RacePlan,
): Promise<RaceResult> {
  const processes = new Map<string, PeerProcess>();
  const failures = new Map<Contestant, string>();
  const trials: Trial[] = [];
  const duels: Duel[] = [];
  const unfinished = new Set<Cell>();
  /** Undefined when it fails; then it has left the race. */
  const attempt = async <T>(contestant: Contestant, work: () => Promise<T>): Promise<T | undefined> => {
    try {
      context.signal.throwIfAborted();
      return await work();
    } catch (error) {
      context.signal.throwIfAborted();
      if (!(error instanceof RondoError)) throw error;
      failures.set(contestant, error.message);
      context.progress(`out of the race: ${title(contestant)}: ${error.message}`);
      return undefined;
    }
  };
  const run = ({ cell, contestant }: Pick<Trial, 'cell' | 'contestant'>, generate = GENERATED) => {
    const prompts = randomPrompts(context.seed, cell.sequences, cell.context - GENERATED, plan.vocab);
    const peer = processes.get(keyOf(contestant))!;
    return attempt(contestant, () => {
      return peer.decode({ prompts, generate }, contestant.options);
    });
  };
  try {
    for (const contestant of contestants) {
      const key = keyOf(contestant);
      context.progress(`loading ${title(contestant)}`);
      await attempt(contestant, async () => {
        const peer =
          processes.get(key) ??
          (await PeerProcess.start(title(contestant), contestant.command, context.signal));
        processes.set(key, peer);
        // The first run of a graph or a kernel pays for what later ones find ready.
        await peer.decode({ prompts: randomPrompts(0, 2, 16, plan.vocab), generate: 2 }, contestant.options);
      });
    }
    const cells = plan.cells.map((cell) =>
      contestants.map((contestant): Trial => ({ cell, contestant, runs: [], residentAfter: [] })),
    );
    trials.push(...cells.flat());
    for (let repeat = 0; repeat < plan.repeats; repeat++) {
      for (const inCell of cells) {
        if (repeat > 0 && performance.now() > plan.lastRepeatMs) break;
        for (const trial of inCell) {
          if (performance.now() > plan.lastRunMs) {
            if (repeat === 0) unfinished.add(trial.cell);
            break;
          }
          if (failures.has(trial.contestant) || (repeat > 0 && hopeless(trial, inCell))) continue;
          const times = await run(trial);
          if (times !== undefined) trial.runs.push(times);
          context.progress(outcome(trial, repeat + 1, plan.repeats));
        }
      }
    }
    for (const duel of plan.duels.matches.flatMap((match) => duelOf(plan.duels, match, trials))) {
      duels.push(duel);
      const { phase, cell, rounds, ours, rivals } = duel;
      const inTurn = [ours, ...rivals.map(({ contestant }) => contestant)];
      for (let round = 0; round < rounds && performance.now() <= plan.lastRunMs; round++) {
        context.progress(`${phase} by turns at ${cell.sequences} × ${cell.context}, round ${round + 1}`);
        const took = new Map<Contestant, number>();
        for (const contestant of round % 2 === 0 ? inTurn : inTurn.toReversed()) {
          if (failures.has(contestant)) continue;
          const times = await run({ cell, contestant }, phase === 'prefill' ? 1 : GENERATED);
          if (times === undefined) continue;
          took.set(contestant, msOf(phase, times));
          if (contestant === ours) duel.residentBytes.push(times.residentBytes);
        }
        for (const { contestant, ratios } of rivals) {
          if (took.has(ours) && took.has(contestant)) ratios.push(took.get(contestant)! / took.get(ours)!);
        }
      }
    }
    // In turns: where time is short each has two runs, which tell something, before any has more.
    for (let again = 0; again < plan.memoryRuns; again++) {
      for (const trial of withLimitedMemory(trials)) {
        if (performance.now() > plan.lastMemoryRunMs || failures.has(trial.contestant)) continue;
        const times = await run(trial);
        if (times === undefined) continue;
        trial.residentAfter.push(times.residentBytes);
        context.progress(`memory of ${title(trial.contestant)}, run ${again + 1} of ${plan.memoryRuns}`);
      }
    }
  } finally {
    await Promise.all([...processes.values()].map((peer) => peer.stop()));
  }
  const ran = trials.filter(({ runs }) => runs.length > 0);
  return { trials: ran, duels, failures, unfinished: [...unfinished] };
}

export const decodeRate = ({ sequences }: Cell, { decodeMs }: DecodeTimes): number =>
  (1000 * sequences * GENERATED) / decodeMs;

export const prefillRate = ({ sequences, context }: Cell, { prefillMs }: DecodeTimes): number =>
  (1000 * sequences * (context - GENERATED)) / prefillMs;

export const title = ({ engine, variant }: Contestant): string => `${engine} ${variant}`;

const msOf = (phase: Phase, { decodeMs, prefillMs }: DecodeTimes): number =>
  phase === 'decode' ? decodeMs : prefillMs;

const keyOf = ({ command }: Contestant): string => command.join('\n');

/** Our variant that was the fastest, and those of the rival that were not far behind its fastest; none unless both ran. */
function duelOf({ engine, rival }: DuelPlan, match: Match, trials: readonly Trial[]): Duel[] {
  const fastest = (of: string) =>
    trials
      .filter(
        (trial) =>
          sameCell(trial.cell, match.cell) && trial.contestant.engine === of && trial.runs.length > 0,
      )
      .map(({ contestant, runs }) => ({
        contestant,
        ms: Math.min(...runs.map((times) => msOf(match.phase, times))),
      }))
      .toSorted((a, b) => a.ms - b.ms);
  const [ours, theirs] = [fastest(engine)[0], fastest(rival)];
  if (!ours || theirs.length === 0) return [];
  const rivals = theirs.filter(({ ms }) => HOPELESS * ms <= theirs[0]!.ms);
  return [
    {
      ...{ ...match, ours: ours.contestant },
      rivals: rivals.map(({ contestant }) => ({ contestant, ratios: [] })),
      residentBytes: [],
    },
  ];
}

export const sameCell = (a: Cell, b: Cell): boolean => a.sequences === b.sequences && a.context === b.context;

/** Of those that ran and whose memory is limited, the trials in the cell of most positions. */
function withLimitedMemory(trials: readonly Trial[]): Trial[] {
  const positions = ({ cell }: Trial) => cell.sequences * cell.context;
  const limited = trials.filter(
    ({ contestant, runs }) => contestant.residentBytesMax !== undefined && runs.length > 0,
  );
  const most = Math.max(...limited.map(positions));
  return limited.filter((trial) => positions(trial) === most);
}

/** Whether its first run was far behind the first run of another variant of its engine, in both respects. */
function hopeless(trial: Trial, inCell: readonly Trial[]): boolean {
  const siblings = inCell.filter(
    ({ contestant, runs }) => contestant.engine === trial.contestant.engine && runs.length > 0,
  );
  const behind = (rate: typeof decodeRate) => {
    const best = Math.max(...siblings.map(({ runs }) => rate(trial.cell, runs[0]!)));
    return trial.runs.length === 0 || rate(trial.cell, trial.runs[0]!) < HOPELESS * best;
  };
  return behind(decodeRate) && behind(prefillRate);
}

function outcome({ cell, contestant, runs }: Trial, repeat: number, repeats: number): string {
  const what = `${cell.sequences} × ${cell.context}, run ${repeat} of ${repeats}, ${title(contestant)}`;
  const last = runs.at(-1);
  if (last === undefined) return `${what}: failed`;
  return `${what}: decode ${decodeRate(cell, last).toFixed(1)}, prefill ${prefillRate(cell, last).toFixed(0)} tok/s`;
}

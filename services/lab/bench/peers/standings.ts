import { median, quantile } from '../../load/quantile.ts';
import { atLeast, atMost, type Cell, type Goal, type Row } from '../suite.ts';
import type { Contestant } from './contestant.ts';
import {
  type Duel,
  decodeRate,
  type Match,
  type Phase,
  prefillRate,
  sameCell,
  type Trial,
  title,
} from './race.ts';

/** Growth of the resident memory over the runs behind the race that still counts as flat. */
const FLAT_MB = 50;

type Rate = typeof decodeRate;

interface RateGoal {
  readonly what: Phase;
  readonly rate: Rate;
  readonly cell: Cell;
  /** Times the speed of llama.cpp's best. */
  readonly bound: number;
}

const RATE_GOALS: readonly RateGoal[] = [
  { what: 'decode', rate: decodeRate, cell: { sequences: 16, context: 128 }, bound: 2.5 },
  { what: 'decode', rate: decodeRate, cell: { sequences: 1, context: 128 }, bound: 2 },
  { what: 'decode', rate: decodeRate, cell: { sequences: 16, context: 1024 }, bound: 1.5 },
  { what: 'prefill', rate: prefillRate, cell: { sequences: 16, context: 512 }, bound: 1.3 },
  { what: 'prefill', rate: prefillRate, cell: { sequences: 1, context: 512 }, bound: 1.3 },
];

const medianRate = (trial: Trial, rate: Rate): number =>
  median(trial.runs.map((times) => rate(trial.cell, times)));

/** The most that the process held after any run in the cell, also of those behind the race. */
const mostHeld = ({ runs, residentAfter }: Trial): number =>
  Math.max(...runs.map(({ residentBytes }) => residentBytes), ...residentAfter);

/** (largest − smallest) / median of the runs, in percent; nothing for a single run, which has no spread. */
function spread(trial: Trial, rate: Rate): number | '' {
  if (trial.runs.length < 2) return '';
  const rates = trial.runs.map((times) => rate(trial.cell, times));
  return (100 * (Math.max(...rates) - Math.min(...rates))) / median(rates);
}

/** The fastest of an engine's variants in a cell. */
function best(trials: readonly Trial[], cell: Cell, engine: string, rate: Rate): Trial | undefined {
  return trials
    .filter((trial) => sameCell(trial.cell, cell) && trial.contestant.engine === engine)
    .reduce<Trial | undefined>(
      (most, trial) => (most && medianRate(most, rate) >= medianRate(trial, rate) ? most : trial),
      undefined,
    );
}

/** One row for each variant of each engine in each cell; rates are medians of its runs. */
export const peerRows = (trials: readonly Trial[]): Row[] =>
  trials.map((trial) => {
    const { cell, contestant, runs } = trial;
    const isBest = (rate: Rate) => best(trials, cell, contestant.engine, rate) === trial;
    return {
      sequences: cell.sequences,
      context: cell.context,
      engine: contestant.engine,
      variant: contestant.variant,
      'decode tok/s': medianRate(trial, decodeRate),
      'decode spread %': spread(trial, decodeRate),
      'prefill tok/s': medianRate(trial, prefillRate),
      'prefill spread %': spread(trial, prefillRate),
      runs: runs.length,
      'resident MB': Math.round(mostHeld(trial) / 1e6),
      'best of its engine': [isBest(decodeRate) ? 'decode' : '', isBest(prefillRate) ? 'prefill' : '']
        .filter((what) => what !== '')
        .join(', '),
    };
  });

/** In a longer context a round of all rivals takes more than some seconds, and nothing is done by turns. */
export const TURNS_CONTEXT_MAX = 512;

/** Of what has a goal, what is measured by turns. */
export const MATCHES: readonly Match[] = RATE_GOALS.filter(({ cell }) => cell.context <= TURNS_CONTEXT_MAX)
  .map(({ what: phase, cell }) => ({ phase, cell, rounds: roundsOf(phase, cell) }))
  .toSorted((a, b) => b.rounds - a.rounds);

/** A prefill of one sequence takes half a second, 64 tokens of one a second, of sixteen ten. */
function roundsOf(phase: Phase, { sequences }: Cell): number {
  if (phase === 'prefill') return 12;
  return sequences === 1 ? 6 : 3;
}

interface Hardest {
  readonly contestant: Contestant;
  readonly ratios: readonly number[];
}

/** The rival against which ours is least ahead by the median of the rounds; undefined without a round. */
const hardest = ({ rivals }: Duel): Hardest | undefined =>
  rivals.filter(({ ratios }) => ratios.length > 0).toSorted((a, b) => median(a.ratios) - median(b.ratios))[0];

export const duelNotes = (duels: readonly Duel[]): string[] =>
  duels.flatMap((duel) => {
    const found = hardest(duel);
    if (!found) return [];
    const { ratios, contestant } = found;
    const at = (q: number) => quantile(ratios, q).toFixed(2);
    const { phase, cell, ours } = duel;
    return [
      `${phase === 'decode' ? 'Decode' : 'Prefill'} at ${cell.sequences} × ${cell.context} by turns, ${title(ours)} to ${title(contestant)}: ${at(0.5)}, the middle half of ${ratios.length} rounds from ${at(0.25)} to ${at(0.75)}, all from ${at(0)} to ${at(1)}.`,
    ];
  });

/**
 * Ours against llama.cpp, best variant against best; where they duelled, by the median of the rounds. Goals of cells that were not
 * measured, or not to the end, are left out: the best may be missing there.
 */
export function peerGoals(
  trials: readonly Trial[],
  unfinished: readonly Cell[] = [],
  duels: readonly Duel[] = [],
  { tellsGrowth = true }: { readonly tellsGrowth?: boolean } = {},
): Goal[] {
  const rates = RATE_GOALS.flatMap(({ what, rate, cell, bound }) => {
    if (unfinished.some((other) => sameCell(other, cell))) return [];
    const [ours, theirs] = ['rondo', 'llama.cpp'].map((engine) => best(trials, cell, engine, rate));
    if (!ours || !theirs) return [];
    const duel = duels.find((other) => other.phase === what && sameCell(other.cell, cell));
    const rounds = duel && hardest(duel)?.ratios;
    const through = what === 'decode' ? 'node-llama-cpp, sampling included' : 'node-llama-cpp';
    const name = `${what} at ${cell.sequences} × ${cell.context}, times llama.cpp's best through ${through}${footing(rounds, ours, theirs)}`;
    const measured = rounds ? median(rounds) : medianRate(ours, rate) / medianRate(theirs, rate);
    return [atLeast(name, bound, measured)];
  });
  return [...rates, ...overheadGoal(trials), ...memoryGoals(trials, duels, tellsGrowth)];
}

/** What a ratio rests on, where that is less than several rounds by turns. */
function footing(rounds: readonly number[] | undefined, ours: Trial, theirs: Trial): string {
  if (rounds) return rounds.length === 1 ? ' (one round by turns)' : '';
  const runs = Math.min(ours.runs.length, theirs.runs.length);
  return runs === 1 ? ' (one run, not by turns)' : ` (medians of ${runs} runs or more, not by turns)`;
}

/** Of a decode step of 16 rows, what is not spent inside the graph runtime, in the best variant. */
function overheadGoal(trials: readonly Trial[]): Goal[] {
  const trial = best(trials, { sequences: 16, context: 128 }, 'rondo', decodeRate);
  const shares = trial?.runs.flatMap(({ decodeMs, decodeRunMs }) =>
    decodeRunMs === undefined ? [] : [100 * (1 - decodeRunMs / decodeMs)],
  );
  if (!shares?.length) return [];
  return [atMost("share of a decode step outside the runtime's run, 16 × 128", 5, median(shares), ' %')];
}

/**
 * Per variant of ours: the most it held, in the race and behind it, and how much more after the last run behind the race than after
 * the first. What was to be told by those runs and was not is not met.
 */
function memoryGoals(trials: readonly Trial[], duels: readonly Duel[], tellsGrowth: boolean): Goal[] {
  const limited = trials.filter(({ contestant }) => contestant.residentBytesMax !== undefined);
  return [...new Set(limited.map(({ contestant }) => contestant))].flatMap((contestant) => {
    const own = limited.filter((trial) => trial.contestant === contestant);
    const most = Math.max(
      ...own.map(mostHeld),
      ...duels.filter(({ ours }) => ours === contestant).flatMap(({ residentBytes }) => residentBytes),
    );
    const growth = own.flatMap(({ cell, residentAfter: held }) =>
      held.length < 2 ? [] : [{ cell, megabytes: (held.at(-1)! - held[0]!) / 1e6, runs: held.length }],
    );
    const { variant, residentBytesMax } = contestant;
    return [
      atMost(
        `resident memory of ${variant} (weights + K/V + 400 MB)`,
        Math.round(residentBytesMax! / 1e6),
        Math.round(most / 1e6),
        ' MB',
      ),
      ...growth.map(({ cell, megabytes, runs }) =>
        atMost(
          `growth of ${variant} over ${runs} more runs of ${cell.sequences} × ${cell.context}`,
          FLAT_MB,
          megabytes,
          ' MB',
        ),
      ),
      ...(growth.length > 0 || !tellsGrowth
        ? []
        : [
            {
              ...{ name: `growth of ${variant} over more runs of the largest cell`, goal: `≤ ${FLAT_MB} MB` },
              ...{ measured: 'not measured: fewer than two such runs', met: false },
            },
          ]),
    ];
  });
}

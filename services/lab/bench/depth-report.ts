import type { LoadSummary } from '../load/load-summary.ts';
import { median } from '../load/quantile.ts';
import { type ExitMix, plannedDepth } from './depth-exits.ts';
import {
  type BlockRuns,
  OUTPUT_TOKENS,
  PROMPT_TOKENS,
  type RowCosts,
  type RowsPerToken,
} from './depth-load.ts';
import type { Policy } from './depth-server.ts';
import { ratioByTurns, type TurnMean } from './depth-tail.ts';
import { atLeast, atMost, type Goal, type Plot, type Row } from './suite.ts';

export interface DepthSample {
  readonly policy: Policy;
  readonly mix: ExitMix;
  readonly loop: 'closed' | 'open';
  /** Clients of a closed loop; share of `sequence`'s capacity of an open one. */
  readonly load: number;
  readonly seed: number;
  readonly summary: LoadSummary;
  /** Of a closed loop. */
  readonly runs?: BlockRuns;
  /** Of an open one: p99 between tokens of each of its turns, whose arrivals every policy met. */
  readonly p99OfTurnsMs?: readonly number[];
}

export interface DepthFindings {
  readonly samples: readonly DepthSample[];
  /** Of the workload. */
  readonly rows: RowsPerToken;
  /** Clients at saturation. */
  readonly saturation: number;
  readonly maxDepth: number;
  readonly live: number;
  /** Resident at the end, of the worker with policy `depth`, and what it may be: weights, KV budget and 400 MiB. */
  readonly workerMiB: number;
  readonly workerMiBMax: number;
}

/** Ratios that Bae et al. 2024 (Relaxed Recursive Transformers, arXiv 2410.20672, Fig. 8) simulated. */
const SIMULATED = { static: 2.66, sequence: 1.88 } as const;

/**
 * What exits can win at most: (F0 + R·Fr) / (F0 + d̄·Fr), d̄ the mean passes of an answer's rows, F0 the prelude, coda and
 * head of a token. A prompt's rows run every pass on either side.
 */
export const ceilingOf = (costs: RowCosts, rows: RowsPerToken, maxDepth: number, meanDepth: number): number =>
  tokenMs(costs, rows, maxDepth, maxDepth) / tokenMs(costs, rows, maxDepth, meanDepth);

/** Of the engine for one token. */
const tokenMs = (costs: RowCosts, rows: RowsPerToken, maxDepth: number, meanDepth: number): number =>
  costs.headMs +
  (rows.prompt + rows.answer) * costs.stacksMs +
  (rows.prompt * maxDepth + rows.answer * meanDepth) * costs.passMs;

/**
 * Of the same windows as the rates that are held against the ceiling, so that a machine that drifts moves both: medians
 * over those of `depth` at saturation.
 */
function saturatedCosts({ samples, saturation }: DepthFindings): RowCosts {
  const costs = samples.flatMap(({ policy, loop, load, runs }) =>
    policy === 'depth' && loop === 'closed' && load === saturation && runs ? [runs.costs] : [],
  );
  return {
    headMs: median(costs.map(({ headMs }) => headMs)),
    stacksMs: median(costs.map(({ stacksMs }) => stacksMs)),
    passMs: median(costs.map(({ passMs }) => passMs)),
  };
}

interface Group {
  readonly policy: Policy;
  readonly mix: ExitMix;
  readonly loop: 'closed' | 'open';
  readonly load: number;
  readonly seed: number;
  readonly repeats: readonly DepthSample[];
  readonly ofRuns: (pick: (runs: BlockRuns) => number) => number;
  readonly of: (pick: (summary: LoadSummary) => number) => number;
}

/** Repeats of one cell as one: the median of each figure. */
function groups(samples: readonly DepthSample[]): Group[] {
  const byCell = Map.groupBy(samples, ({ policy, mix, loop, load }) => [policy, mix, loop, load].join());
  return [...byCell.values()].map((repeats) => ({
    ...repeats[0]!,
    repeats,
    ofRuns: (pick) => median(repeats.flatMap(({ runs }) => (runs ? [pick(runs)] : []))),
    of: (pick) => median(repeats.map(({ summary }) => pick(summary)).filter((value) => !Number.isNaN(value))),
  }));
}

const find = (all: readonly Group[], wanted: Partial<Group>): Group | undefined =>
  all.find((group) =>
    (['policy', 'mix', 'loop', 'load'] as const).every(
      (key) => wanted[key] === undefined || wanted[key] === group[key],
    ),
  );

/** Where answers end in cohorts a slope says which part of one it fell into; elsewhere the steady rate is exact. */
const throughput = (group: Group | undefined): number =>
  group?.of(({ tokensPerS, steadyTokensPerS }) =>
    group.policy === 'static' || group.loop === 'open' ? tokensPerS : steadyTokensPerS,
  ) ?? Number.NaN;

/** Passes of an answer's row: as recorded, or as the answers told. */
const depthOf = ({ mix, seed, summary }: DepthSample, maxDepth: number): number =>
  plannedDepth(mix, seed, maxDepth) ?? summary.passesPerToken;

const meanDepth = ({ maxDepth }: DepthFindings, { repeats }: Group): number =>
  median(repeats.map((sample) => depthOf(sample, maxDepth)).filter((depth) => !Number.isNaN(depth)));

/** What `ratio` makes of each repeat of a group and the one of `other` beside it. */
const beside = (
  group: Group | undefined,
  other: Group | undefined,
  ratio: (sample: DepthSample, neighbour: DepthSample) => number,
): number[] =>
  (group?.repeats ?? []).flatMap((sample) => {
    const neighbour = other?.repeats.find(({ seed }) => seed === sample.seed);
    return neighbour ? [ratio(sample, neighbour)] : [];
  });

/** Of the ceiling of exits, in per cent: medians over repeats, each held against its neighbour without exits. */
interface CeilingShare {
  readonly ceiling: number;
  /** Throughput to that without exits, by the ceiling of the costs there. */
  readonly reached: number;
  /**
   * The same with each rate against F0 and Fr of its own window. A machine that is a tenth slower for some seconds moves both sides, and
   * so do runs that are emptier: what is left is how busy exits keep the engine.
   */
  readonly busy: number;
  readonly lowest: number;
  readonly highest: number;
}

/** Tokens lost to another group of the same load, in per cent. */
const lossAgainst = (group: Group | undefined, other: Group | undefined): number =>
  median(
    beside(
      group,
      other,
      (sample, neighbour) => 100 * (1 - sample.summary.steadyTokensPerS / neighbour.summary.steadyTokensPerS),
    ),
  );

/** Undefined where exits play no part. */
function shareOfCeiling(found: DepthFindings, all: readonly Group[], group: Group): CeilingShare | undefined {
  const { policy, mix, loop, load } = group;
  if (policy !== 'depth' || mix === 'none' || loop !== 'closed' || load !== found.saturation)
    return undefined;
  const { rows, maxDepth } = found;
  const without = find(all, { policy, mix: 'none', loop, load });
  const rate = ({ summary }: DepthSample) => summary.steadyTokensPerS;
  const ceilingBy = (costs: RowCosts, sample: DepthSample) =>
    ceilingOf(costs, rows, maxDepth, depthOf(sample, maxDepth));
  const reached = beside(
    group,
    without,
    (sample, full) => (100 * rate(sample)) / rate(full) / ceilingBy(full.runs!.costs, sample),
  );
  const busy = (sample: DepthSample) =>
    rate(sample) * tokenMs(sample.runs!.costs, rows, maxDepth, depthOf(sample, maxDepth));
  return {
    ceiling: ceilingOf(saturatedCosts(found), rows, maxDepth, meanDepth(found, group)),
    reached: median(reached),
    busy: median(beside(group, without, (sample, full) => (100 * busy(sample)) / busy(full))),
    lowest: Math.min(...reached),
    highest: Math.max(...reached),
  };
}

/** One row for each cell, closed loops first. */
export function depthRows(found: DepthFindings): Row[] {
  const all = groups(found.samples);
  return all.map((group) => {
    const { policy, mix, loop, load } = group;
    const limit = shareOfCeiling(found, all, group);
    const against = (other: Policy) =>
      loop === 'closed'
        ? throughput(group) / throughput(find(all, { policy: other, mix: 'none', loop, load }))
        : '';
    return {
      loop,
      load: loop === 'closed' ? `${load} clients` : `${100 * load} %`,
      policy,
      exits: mix,
      'tokens/s': throughput(group),
      'passes/token': blankNaN(meanDepth(found, group)),
      'block rows/token': blankNaN(group.ofRuns(({ rowsPerToken }) => rowsPerToken)),
      'rows/run': blankNaN(group.ofRuns(({ rowsPerRun }) => rowsPerRun)),
      'engine ms/row': blankNaN(group.ofRuns(({ costs }) => costs.passMs)),
      'to static': blankNaN(against('static')),
      'to sequence': blankNaN(against('sequence')),
      ceiling: limit?.ceiling ?? '',
      'of ceiling %': limit?.reached ?? '',
      'busy %': limit?.busy ?? '',
      'first token p50 ms': blankNaN(group.of(({ firstTokenMs }) => firstTokenMs.p50)),
      'gap p50 ms': group.of(({ gapMs }) => gapMs.p50),
      'gap p99 ms': group.of(({ gapMs }) => gapMs.p99),
      failed: group.repeats.reduce((sum, { summary }) => sum + summary.failed + summary.refused, 0),
    };
  });
}

const blankNaN = (value: number | string): number | string => (Number.isNaN(value) ? '' : value);

export function depthGoals(found: DepthFindings): Goal[] {
  const all = groups(found.samples);
  const { saturation } = found;
  const saturated = (policy: Policy, mix: ExitMix) =>
    find(all, { policy, mix, loop: 'closed', load: saturation });
  const replayed = all.filter(({ mix }) => mix !== 'live');
  const shares = replayed.flatMap((group) => {
    const limit = shareOfCeiling(found, all, group);
    return limit
      ? [atLeast(`share of the ceiling at saturation, ${group.mix} after pass 1, %`, 97, limit.reached)]
      : [];
  });
  const loss = lossAgainst(saturated('depth', 'none'), saturated('sequence', 'none'));
  return [
    ...shares,
    atMost('loss against sequence without exits, %', 2, loss),
    atMost('resident memory of the worker, MiB', Math.round(found.workerMiBMax), found.workerMiB),
    atMost('requests that failed or were refused', 0, failures(found)),
    ...all.flatMap((group) => tailGoals(found, group)),
    ...(['static', 'sequence'] as const).flatMap((policy) =>
      (['50 %', '75 %', '90 %'] as const).map((mix) =>
        simulatedGoal(
          policy,
          mix,
          throughput(saturated('depth', mix)) / throughput(saturated(policy, 'none')),
        ),
      ),
    ),
  ];
}

const failures = ({ samples }: DepthFindings): number =>
  samples.reduce((sum, { summary }) => sum + summary.failed + summary.refused, 0);

/** Of the open loop with policy `depth`, against `sequence` at the same arrivals; `pooled` is that of all turns' gaps as one. */
function tailOf(
  { samples }: DepthFindings,
  group: Group,
): (TurnMean & { readonly turns: number; readonly pooled: number }) | undefined {
  if (group.loop !== 'open' || group.policy !== 'depth') return undefined;
  const { loop, load, mix } = group;
  const sequence = find(groups(samples), { policy: 'sequence', loop, load, mix });
  const [own, theirs] = [group.repeats[0]?.p99OfTurnsMs, sequence?.repeats[0]?.p99OfTurnsMs];
  if (!own || !theirs || !sequence) return undefined;
  const p99 = ({ gapMs }: LoadSummary) => gapMs.p99;
  return { ...ratioByTurns(own, theirs), turns: own.length, pooled: group.of(p99) / sequence.of(p99) };
}

const tailName = ({ load, mix }: Group): string => `${100 * load} % load, exits ${mix}`;

function tailGoals(found: DepthFindings, group: Group): Goal[] {
  const ratio = tailOf(found, group);
  return ratio ? [atMost(`p99 between tokens to sequence’s, ${tailName(group)}`, 1, ratio.mean)] : [];
}

/** How far repeats of one share of the ceiling lie apart. */
function ranges(found: DepthFindings): string {
  const all = groups(found.samples);
  const told = all.flatMap((group) => {
    const share = shareOfCeiling(found, all, group);
    return share ? [`${share.lowest.toFixed(1)} to ${share.highest.toFixed(1)} with ${group.mix}`] : [];
  });
  return told.length > 0 ? ` (${told.join(', ')})` : '';
}

/** How sure the goals of tails are. */
function tailNotes(found: DepthFindings): string[] {
  return groups(found.samples).flatMap((group) => {
    const ratio = tailOf(found, group);
    if (!ratio) return [];
    const { mean, standardError, turns, pooled } = ratio;
    return [
      `p99 between tokens to sequence’s, ${tailName(group)}: ${mean.toFixed(2)} ± ${(100 * standardError).toFixed(0)} % (geometric mean of ${turns} turns at the same arrivals, one standard error); of all turns’ gaps as one ${pooled.toFixed(2)}, which is that of the slowest turn, whoever’s it was.`,
    ];
  });
}

/** Not a bound of ours: the published figure to read the measured one beside. */
const simulatedGoal = (policy: 'static' | 'sequence', mix: ExitMix, measured: number): Goal => ({
  name: `throughput to ${policy} without exits, ${mix} after pass 1`,
  goal: `paper simulated ${SIMULATED[policy]}`,
  measured,
  met: measured >= SIMULATED[policy],
});

export const depthPlots = (saturation: number): Plot[] => [
  {
    name: 'throughput',
    title: 'Tokens per second by number of clients, policy and exits',
    spec: {
      transform: [
        { filter: "datum.loop === 'closed'" },
        { calculate: "toNumber(split(datum.load, ' ')[0])", as: 'clients' },
        { calculate: "datum.policy + ', exits ' + datum.exits", as: 'series' },
      ],
      mark: { type: 'line', point: true },
      encoding: {
        x: { field: 'clients', type: 'quantitative', scale: { type: 'log', base: 2 } },
        y: { field: 'tokens/s', type: 'quantitative' },
        color: { field: 'series', type: 'nominal' },
      },
    },
  },
  {
    name: 'saturation',
    title: `Tokens per second at ${saturation} clients`,
    spec: {
      transform: [{ filter: `datum.load === '${saturation} clients'` }],
      mark: 'bar',
      encoding: {
        y: { field: 'policy', type: 'nominal' },
        yOffset: { field: 'exits', type: 'nominal' },
        x: { field: 'tokens/s', type: 'quantitative' },
        color: { field: 'exits', type: 'nominal' },
      },
    },
  },
];

export function depthNotes(found: DepthFindings, threads: number): string[] {
  const { headMs, stacksMs, passMs } = saturatedCosts(found);
  const { prompt, answer } = found.rows;
  return [
    `SmolLM2-135M-Instruct with layers 1 to 28 of 0 to 29 applied twice (damping 0.5), int4; one worker and its coordinator in one process, with ${threads} ${threads === 1 ? 'thread' : 'threads'} for the engine, so that a core is left for the coordinator and the load generator beside it. Prompts of ${PROMPT_TOKENS.least} to ${PROMPT_TOKENS.most} tokens, answers of ${OUTPUT_TOKENS.least} to ${OUTPUT_TOKENS.most}, log-uniform and seeded; the cells of one repeat run one after the other, every other repeat backwards, so that drift hits all alike; the loss without exits is the median of what each repeat lost. In the open loop the policies take turns at the same arrivals; the table has the gaps of all turns of one together.`,
    `In the batches of ${found.saturation} clients a token takes F0 = ${(headMs + stacksMs).toFixed(3)} ms (prelude, coda, head) and Fr = ${passMs.toFixed(3)} ms a pass inside the engine, by the server’s own metrics over the same windows as the rates. Ceiling = (F0 + ${found.maxDepth}·Fr) / (F0 + d̄·Fr) with d̄ the passes of an answer’s row as recorded (live: as reported), and with the prompts, whose rows run every pass: ${prompt.toFixed(3)} prompt rows and ${answer.toFixed(3)} answer rows a token. Block rows/token (what the batching spent, prompts included), rows/run and engine ms/row are of block runs. Tokens/s of a closed loop is the slope of arrivals over the window, for static, whose answers end in cohorts, the average until as many have ended as there are clients. Of ceiling = throughput to that of depth without exits in the same repeat, by the ceiling of the costs there; the median of the repeats, of which single ones differ because this machine drifts by a tenth from one window to the next${ranges(found)}. Busy = the same with each rate against F0 and Fr of its own window, which takes out the drift, and that rows are dearer where exits leave runs emptier (engine ms/row): what is left is whether the engine had to wait.`,
    `Exits are replayed: a seeded trace says after which pass each row leaves. Live: a row leaves when pass 1 changes its state by less than ${found.live.toFixed(4)} of its norm, which three rows in four of a sample text stay below. To static and to sequence: throughput to theirs without exits at the same number of clients. Bae et al. 2024 (arXiv 2410.20672, Fig. 8) simulated ${SIMULATED.static} and ${SIMULATED.sequence} for their models and exit rates.`,
    ...tailNotes(found),
  ];
}

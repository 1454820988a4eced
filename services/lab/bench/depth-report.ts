import type { LoadSummary } from '../load/load-summary.ts';
import { median } from '../load/quantile.ts';
import { saturatedCosts, shareOfCeiling } from './depth-ceiling.ts';
import {
  beside,
  type DepthFindings,
  type DepthSample,
  find,
  type Group,
  groups,
  meanDepth,
} from './depth-cells.ts';
import type { ExitMix } from './depth-exits.ts';
import { OUTPUT_TOKENS, PROMPT_TOKENS } from './depth-load.ts';
import type { Policy } from './depth-server.ts';
import { ratioByTurns, type TurnMean } from './depth-tail.ts';
import { atLeast, atMost, type Goal, type Plot, type Row } from './suite.ts';

/** Ratios that Bae et al. 2024 (Relaxed Recursive Transformers, arXiv 2410.20672, Fig. 8) simulated. */
const SIMULATED = { static: 2.66, sequence: 1.88 } as const;

/** Where answers end in cohorts a slope says which part of one it fell into; elsewhere the steady rate is exact. */
const throughput = (group: Group | undefined): number =>
  group?.of(({ tokensPerS, steadyTokensPerS }) =>
    group.policy === 'static' || group.loop === 'open' ? tokensPerS : steadyTokensPerS,
  ) ?? Number.NaN;

/** Tokens lost to another group of the same load, in per cent. */
const lossAgainst = (group: Group | undefined, other: Group | undefined): number =>
  median(
    beside(
      group,
      other,
      (sample, neighbour) => 100 * (1 - sample.summary.steadyTokensPerS / neighbour.summary.steadyTokensPerS),
    ),
  );

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
      failed: failures(group.repeats),
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
    return limit ? [atLeast(`${shareName(group)}, %`, 97, limit.reached)] : [];
  });
  const loss = lossAgainst(saturated('depth', 'none'), saturated('sequence', 'none'));
  return [
    ...shares,
    atMost('loss against sequence without exits, %', 2, loss),
    atMost('resident memory of the worker, MiB', Math.round(found.workerMiBMax), found.workerMiB),
    atMost('requests that failed or were refused', 0, failures(found.samples)),
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

const shareName = ({ policy, mix }: Group): string =>
  `share of the ceiling at saturation${policy === 'together' ? ', all depths together' : ''}, ${mix} after pass 1`;

/** Of all repeats together: a median would hide those of one. */
const failures = (samples: readonly DepthSample[]): number =>
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
    const of = group.policy === 'together' ? `${group.mix} together` : group.mix;
    return share ? [`${share.lowest.toFixed(1)} to ${share.highest.toFixed(1)} with ${of}`] : [];
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

import { type Bundle, bundleBytes } from '@rondo/bundle';
import { summarize } from '../load/load-summary.ts';
import type { LoadTurn } from '../load/load-turns.ts';
import { joinTurns } from '../load/load-turns.ts';
import { residentMiB } from '../load/process-cpu.ts';
import { bundleTokens } from '../loop-scan.ts';
import { benchBundle } from './bench-bundle.ts';
import { LOOPED } from './depth-bundle.ts';
import type { DepthSample } from './depth-cells.ts';
import { type ExitMix, liveThreshold } from './depth-exits.ts';
import { closedCohorts, closedWindow, openRate, workloadMeans } from './depth-load.ts';
import { depthGoals, depthNotes, depthPlots, depthRows } from './depth-report.ts';
import { DepthServer, KV_MB, type Policy } from './depth-server.ts';
import type { Suite, SuiteContext, SuiteResult } from './suite.ts';

/** The coordinator and the load generator, which elsewhere are on machines of their own, keep one core for themselves. */
const engineThreads = (threads: number): number => Math.max(1, threads - 1);
/** Clients that fill every batch. */
const SATURATION = 64;

export const depth: Suite = {
  name: 'depth',
  summary: 'batching by depth against batching by token and by request, with exits replayed and live',
  run,
};

/** One measurement to make. */
interface Cell {
  readonly policy: Policy;
  readonly mix: ExitMix;
  readonly clients: number;
}

interface Plan {
  /** Each is measured once a repeat. */
  readonly cells: readonly Cell[];
  readonly repeats: (cell: Cell) => number;
  readonly warmUpMs: number;
  readonly windowMs: number;
  /** Cohorts of the static policy in one measurement. */
  readonly cohorts: number;
  /** Rates of the open loop as shares of what `sequence` carries without exits. */
  readonly loads: readonly number[];
  readonly openPolicies: readonly Policy[];
  readonly openMixes: readonly ExitMix[];
  /** The policies take turns of `openMs` at a rate: of a machine that drifts many short ones next to each other tell more than few long ones. */
  readonly openTurns: number;
  readonly openMs: number;
}

const cell = (policy: Policy, mix: ExitMix, clients = SATURATION): Cell => ({ policy, mix, clients });

const QUICK: Plan = {
  cells: [
    cell('sequence', 'none'),
    cell('depth', 'none'),
    ...(['50 %', '75 %', '90 %', 'live'] as const).map((mix) => cell('depth', mix)),
    cell('together', '75 %'),
    cell('static', 'none'),
  ],
  repeats: ({ policy, mix }) =>
    policy === 'static' || mix === 'live' ? 1 : mix === 'none' || mix === '90 %' ? 5 : 3,
  warmUpMs: 2000,
  windowMs: 4500,
  cohorts: 1,
  loads: [0.75],
  openPolicies: ['sequence', 'depth'],
  openMixes: ['75 %'],
  openTurns: 8,
  openMs: 5000,
};

const CLIENTS = [1, 4, 16, 32, SATURATION];
const togetherMixes = (clients: number): readonly ExitMix[] =>
  clients === SATURATION ? ['50 %', '75 %', '90 %'] : ['75 %'];
const FULL: Plan = {
  cells: CLIENTS.flatMap((clients) => [
    ...(['none', '75 %'] as const).map((mix) => cell('sequence', mix, clients)),
    ...(['none', '50 %', '75 %', '90 %', 'live'] as const).map((mix) => cell('depth', mix, clients)),
    ...togetherMixes(clients).map((mix) => cell('together', mix, clients)),
    cell('static', 'none', clients),
  ]),
  repeats: ({ policy, clients }) => (clients === SATURATION ? (policy === 'static' ? 1 : 5) : 1),
  warmUpMs: 4000,
  windowMs: 9000,
  cohorts: 1,
  loads: [0.5, 0.75, 0.9],
  openPolicies: ['static', 'sequence', 'depth', 'together'],
  openMixes: ['none', '75 %'],
  openTurns: 8,
  openMs: 5000,
};

async function run(given: SuiteContext): Promise<SuiteResult> {
  const context: SuiteContext = { ...given, threads: engineThreads(given.threads) };
  const plan = context.quick ? QUICK : FULL;
  const bundle = await benchBundle(context, LOOPED);
  const live = await liveThreshold(bundle, context.threads, await someText(bundle));
  await using servers = new AsyncDisposableStack();
  const byPolicy = new Map<Policy, DepthServer>();
  for (const policy of ['static', 'sequence', 'depth', 'together'] as const) {
    byPolicy.set(policy, servers.use(await DepthServer.together(context, bundle, policy)));
  }
  const settingOf = ({ policy, mix }: Pick<Cell, 'policy' | 'mix'>, seed: number) => ({
    ...{ server: byPolicy.get(policy)!, mix, seed, live, signal: context.signal },
  });
  const samples: DepthSample[] = [];
  const repeats = Math.max(...plan.cells.map(plan.repeats));
  for (let repeat = 0; repeat < repeats; repeat++) {
    // Drift of the machine hits all cells alike: each repeat goes through all of them, every other one backwards.
    const cells = plan.cells.filter((candidate) => repeat < plan.repeats(candidate));
    for (const next of repeat % 2 === 0 ? cells : cells.toReversed()) {
      const { policy, mix, clients } = next;
      context.signal.throwIfAborted();
      context.progress(`${clients} clients, ${policy}, exits ${mix}, repeat ${repeat + 1}`);
      const setting = settingOf(next, context.seed + repeat);
      const { summary, runs } =
        policy === 'static'
          ? await closedCohorts(setting, clients, plan)
          : await closedWindow(setting, clients, plan);
      samples.push({ policy, mix, loop: 'closed', load: clients, seed: setting.seed, summary, runs });
    }
  }
  samples.push(...(await openSamples(context, plan, samples, settingOf)));
  const found = {
    ...{ samples, live, saturation: SATURATION, maxDepth: bundle.manifest.maxDepth },
    rows: workloadMeans(context.seed).rows,
    workerMiB: await residentMiB(byPolicy.get('depth')!.worker.pid),
    workerMiBMax: bundleMiB(bundle) + KV_MB + 400,
  };
  return {
    rows: depthRows(found),
    goals: depthGoals(found),
    plots: depthPlots(SATURATION),
    notes: depthNotes(found, context.threads),
  };
}

async function openSamples(
  context: SuiteContext,
  plan: Plan,
  closed: readonly DepthSample[],
  settingOf: (cell: Pick<Cell, 'policy' | 'mix'>, seed: number) => Parameters<typeof openRate>[0],
): Promise<DepthSample[]> {
  const carried = closed.find(
    ({ policy, mix, load }) => policy === 'sequence' && mix === 'none' && load === SATURATION,
  )!;
  const capacity = carried.summary.steadyTokensPerS / workloadMeans(context.seed).tokens;
  const samples: DepthSample[] = [];
  for (const load of plan.loads) {
    for (const mix of plan.openMixes) {
      const byPolicy = new Map(plan.openPolicies.map((policy) => [policy, [] as LoadTurn[]]));
      for (let turn = 0; turn < plan.openTurns; turn++) {
        // Who is first in one turn is last in the next.
        const inTurn = turn % 2 === 0 ? plan.openPolicies : plan.openPolicies.toReversed();
        for (const policy of inTurn) {
          context.signal.throwIfAborted();
          context.progress(`open loop at ${100 * load} %, ${policy}, exits ${mix}, turn ${turn + 1}`);
          const setting = settingOf({ policy, mix }, context.seed + turn);
          byPolicy.get(policy)!.push(await openRate(setting, load * capacity, plan.openMs));
        }
      }
      for (const [policy, own] of byPolicy) {
        const { records, window } = joinTurns(own);
        const summary = summarize(records, window);
        const p99OfTurnsMs = own.map((turn) => summarize(turn.records, turn.window).gapMs.p99);
        samples.push({ policy, mix, loop: 'open', load, seed: context.seed, summary, p99OfTurnsMs });
      }
    }
  }
  return samples;
}

const bundleMiB = ({ manifest }: Bundle): number => bundleBytes(manifest) / 2 ** 20;

const TEXT =
  'The committee met in the old library on the first evening of the month. Nobody had asked for the windows to be ' +
  'opened, yet the cold came in all the same, and with it the sound of the harbour: chains, gulls, a bell that kept ' +
  'no particular time. When the chair had read out the names, she put down her glasses and said that there was only ' +
  'one question left, and that it had waited long enough to be answered by whoever was still awake.';

const someText = async (bundle: Bundle): Promise<number[]> => (await bundleTokens(bundle, TEXT)).slice(0, 96);

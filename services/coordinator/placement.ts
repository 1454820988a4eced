import {
  type ExitRule,
  type KvPolicy,
  mustStayHomed,
  type Route,
  splitDepths,
  type WorkerRef,
} from '@rondo/core';

/** How routes are cut: all depths on one worker, or the depths split over all of them. */
export type Placement = 'homed' | 'staged';

/** What placement sees of a worker. */
export interface WorkerView {
  readonly worker: WorkerRef;
  /** Positions of full-depth KV that open sequences hold there; a stage counts for its share of the depths. */
  readonly reservedPositions: number;
  /** Only a serving worker takes new sequences; `suspected`: one was lost there since its last pulse. */
  readonly state: 'serving' | 'draining' | 'suspected';
  /** Positions of full-depth KV that could still be reserved there, and all there are, as of its last pulse. */
  readonly freePositions: number;
  readonly totalPositions: number;
  /** What one run of the block takes there on average, in milliseconds; 0 before the first. */
  readonly stepMs: number;
}

export interface Demand {
  readonly placement: Placement;
  readonly exit: ExitRule;
  /** The bundle's. */
  readonly kvPolicy: KvPolicy;
  /** Depths of the bundle. */
  readonly maxDepth: number;
  readonly epoch: number;
}

/**
 * The route for one sequence, or undefined without a serving worker: the others are not there.
 * 1. The least loaded worker is home; ties go to the smaller id.
 * 2. A sequence whose rows may exit early in a way that needs its home stays homed.
 * 3. Staged: depths are split over the workers in their listed order, beginning at the home.
 */
export function place(members: readonly WorkerView[], demand: Demand): Route | undefined {
  const view = members.filter(({ state }) => state === 'serving');
  const home = view.toSorted(byLoad)[0]?.worker;
  if (home === undefined) return undefined;
  const staged =
    demand.placement === 'staged' && !mustStayHomed(demand.exit, demand.kvPolicy, demand.maxDepth);
  const workers = staged ? rotatedTo(home, view) : [home];
  const stages = splitDepths(demand.maxDepth, workers.length).map((depths, index) => ({
    worker: workers[index]!,
    depths,
  }));
  return { epoch: demand.epoch, home, stages };
}

const byLoad = (a: WorkerView, b: WorkerView): number =>
  a.reservedPositions - b.reservedPositions || (a.worker.id < b.worker.id ? -1 : 1);

function rotatedTo(home: WorkerRef, view: readonly WorkerView[]): WorkerRef[] {
  const workers = view.map(({ worker }) => worker);
  const first = workers.indexOf(home);
  return [...workers.slice(first), ...workers.slice(0, first)];
}

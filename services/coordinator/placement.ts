import {
  type DepthRange,
  type ExitRule,
  type KvPolicy,
  LIMITS,
  mustStayHomed,
  passesIn,
  type Route,
  splitDepths,
  type WorkerRef,
} from '@rondo/core';
import { depthsByRoom, type KvShape, wholePages } from './depth-shares.ts';

/** How routes are cut: all depths on one worker, the depths split over all of them, or whatever suits a sequence. */
export const PLACEMENTS = ['auto', 'homed', 'staged'] as const;
export type Placement = (typeof PLACEMENTS)[number];

/** What placement sees of a worker. */
export interface WorkerView {
  readonly worker: WorkerRef;
  /** Positions of full-depth KV that open sequences hold there; a stage counts for its share of the depths. */
  readonly reservedPositions: number;
  /** Only a serving worker takes new sequences; `suspected`: one was lost there since its last pulse. */
  readonly state: 'serving' | 'draining' | 'suspected';
  /** Sequences that live there or run passes there. */
  readonly sequences: number;
  /** Those of them that live there, of this coordinator's. */
  readonly homes: number;
  /** Positions of full-depth KV that could still be reserved there, and all there are, as of its last pulse. */
  readonly freePositions: number;
  readonly totalPositions: number;
  /** What one run of the block takes there on average, in milliseconds; 0 before the first. */
  readonly stepMs: number;
  /** What rows take from there to another worker on average, in milliseconds; 0 while it knows none. */
  readonly hopMs: number;
}

export interface Demand extends KvShape {
  readonly placement: Placement;
  readonly exit: ExitRule;
  /** The bundle's. */
  readonly kvPolicy: KvPolicy;
  /** Whether the bundle has layers outside the loop, whose K and V lie at home for every position. */
  readonly layersAtHome: boolean;
  readonly promptRows: number;
  readonly maxTokens: number;
  readonly epoch: number;
}

/** Prompts from here on may go through stages; a shorter one gains little, and staged routes share no cached prefixes. */
const LONG_PROMPT_ROWS = 32 * LIMITS.prefillChunkRows;
/** Milliseconds of a run and a hop while nobody has measured. */
const UNMEASURED = { stepMs: 5, hopMs: 1 };

/**
 * The route for one sequence, or undefined without a serving worker: the others are not there.
 * 1. What needs its home for exits is homed; so is everything that is to be: on the worker with the fewest reserved positions.
 * 2. What is to be staged is split over all workers in their listed order, beginning at the least reserved; as each holds a part of every
 * such sequence, at the one that is home to the fewest: first stages have most to do where rows exit early, and homes sample. Into equal
 * stages, but for what one of them could not hold even when empty: that is cut by what they hold.
 * Else (`auto`):
 * 3. KV need: what no worker's free positions hold is split over as few workers as hold it, each by its free positions.
 * 4. Prompt length: a long prompt runs over as many workers that have nothing else to do as shorten it most, hops counted.
 * 5. Load: the worker with the least to do. To fill one before the next begins costs throughput already at two sequences.
 */
export function place(members: readonly WorkerView[], demand: Demand): Route | undefined {
  const view = members.filter(({ state }) => state === 'serving');
  const [least] = view.toSorted(byReserved);
  if (least === undefined) return undefined;
  const { placement, exit, kvPolicy, maxDepth } = demand;
  const mayStage = !mustStayHomed(exit, kvPolicy, maxDepth);
  if (placement === 'staged' && mayStage) return overAll(view, demand);
  if (placement !== 'auto') return homed(demand, least);
  const roomy = view.filter((each) => roomOf(each) >= positionsOf(demand));
  const suitable = roomy.length > 0 ? roomy : view;
  const byNeed = roomy.length === 0 && mayStage ? splitByRoom(view, demand) : undefined;
  const byLength =
    mayStage && demand.promptRows >= LONG_PROMPT_ROWS ? splitByTime(suitable, demand) : undefined;
  return byNeed ?? byLength ?? homed(demand, suitable.toSorted(byLoad)[0]!);
}

/** Whether a sequence's K and V may be cut over workers, so that it can be longer than any one of them holds. */
export const maySplit = ({
  placement,
  exit,
  kvPolicy,
  maxDepth,
  layersAtHome,
}: Pick<Demand, 'placement' | 'exit' | 'kvPolicy' | 'maxDepth' | 'layersAtHome'>): boolean =>
  placement !== 'homed' && !layersAtHome && !mustStayHomed(exit, kvPolicy, maxDepth);

/**
 * Whether workers that stay could hold the sequence once all others there have ended. What may be split was held at the door to what they
 * hold together.
 */
export function everFits(members: readonly WorkerView[], demand: Omit<Demand, 'epoch'>): boolean {
  if (maySplit(demand)) return true;
  return members.some((each) => each.state !== 'draining' && each.totalPositions >= positionsOf(demand));
}

/** Whether a worker has room for the whole sequence now, as far as anybody knows. */
export const fitsWhole = (members: readonly WorkerView[], demand: Omit<Demand, 'epoch'>): boolean =>
  members.some((each) => each.state === 'serving' && roomOf(each) >= positionsOf(demand));

/** Where layers at home keep K and V of every position, the home must be able to. */
function overAll(view: readonly WorkerView[], demand: Demand): Route {
  const { maxDepth, layersAtHome } = demand;
  const positions = positionsOf(demand);
  const byTurn = view.toSorted(byReserved);
  const home = byTurn.find((each) => !layersAtHome || each.totalPositions >= positions) ?? byTurn[0]!;
  const workers = rotatedTo(home, view);
  const equal = splitDepths(maxDepth, workers.length);
  const held = wholePages(positions, demand);
  const fits = equal.every((range, at) => passesIn(range) * held <= workers[at]!.totalPositions * maxDepth);
  const totals = workers.map(({ totalPositions }) => totalPositions);
  return staged(demand, workers, fits ? equal : (depthsByRoom(demand, positions, totals) ?? equal));
}

const positionsOf = ({ promptRows, maxTokens }: Pick<Demand, 'promptRows' | 'maxTokens'>): number =>
  promptRows + maxTokens;

/** Free as far as anybody knows: by the last pulse, and by what was booked since. */
const roomOf = (each: WorkerView): number =>
  Math.min(each.freePositions, each.totalPositions - each.reservedPositions);

/** As few workers as hold it, roomiest first. Where layers at home keep K and V of every position, the home must be able to. */
function splitByRoom(view: readonly WorkerView[], demand: Demand): Route | undefined {
  const positions = positionsOf(demand);
  const roomiest = view.toSorted((a, b) => roomOf(b) - roomOf(a) || byReserved(a, b));
  if (demand.layersAtHome && roomiest[0]!.totalPositions < positions) return undefined;
  for (let count = 2; count <= Math.min(roomiest.length, demand.maxDepth); count++) {
    const workers = roomiest.slice(0, count);
    const depths = depthsByRoom(demand, positions, workers.map(roomOf));
    if (depths) return staged(demand, workers, depths);
  }
  return undefined;
}

/** Chunks of a prompt pipeline through equal stages; each generated token pays their hops. */
function splitByTime(view: readonly WorkerView[], demand: Demand): Route | undefined {
  const idle = view.filter(({ sequences }) => sequences === 0).toSorted(byReserved);
  const [best] = Array.from({ length: Math.min(idle.length, demand.maxDepth) }, (_, index) => index + 1)
    .map((count) => ({ count, ms: timeOver(idle.slice(0, count), demand) }))
    .toSorted((a, b) => a.ms - b.ms || a.count - b.count);
  return best && best.count > 1 ? staged(demand, idle.slice(0, best.count)) : undefined;
}

function timeOver(workers: readonly WorkerView[], { promptRows, maxTokens, maxDepth }: Demand): number {
  const count = workers.length;
  const stepMs = Math.max(...workers.map((each) => each.stepMs || UNMEASURED.stepMs));
  const hopMs = count === 1 ? 0 : Math.max(...workers.map((each) => each.hopMs || UNMEASURED.hopMs));
  const chunks = Math.ceil(promptRows / LIMITS.prefillChunkRows);
  const prompt = (chunks + count - 1) * Math.ceil(maxDepth / count) * stepMs + count * hopMs;
  return prompt + maxTokens * (maxDepth * stepMs + count * hopMs);
}

const homed = (demand: Demand, { worker }: WorkerView): Route => staged(demand, [{ worker }]);

function staged(
  { epoch, maxDepth }: Demand,
  workers: readonly Pick<WorkerView, 'worker'>[],
  depths: readonly DepthRange[] = splitDepths(maxDepth, workers.length),
): Route {
  const stages = depths
    .map((range, index) => ({ worker: workers[index]!.worker, depths: range }))
    .filter((stage) => passesIn(stage.depths) > 0);
  return { epoch, home: stages[0]!.worker, stages };
}

const byReserved = (a: WorkerView, b: WorkerView): number =>
  a.reservedPositions - b.reservedPositions || a.homes - b.homes || (a.worker.id < b.worker.id ? -1 : 1);

function byLoad(a: WorkerView, b: WorkerView): number {
  const toDo = (each: WorkerView) => each.sequences * (each.stepMs || UNMEASURED.stepMs);
  return toDo(a) - toDo(b) || byReserved(a, b);
}

function rotatedTo(home: WorkerView, view: readonly WorkerView[]): WorkerView[] {
  const first = view.indexOf(home);
  return [...view.slice(first), ...view.slice(0, first)];
}

import type { Phase } from './chunk.ts';
import { rowsAhead } from './rows-ahead.ts';
import type { BlockCosts } from './run-costs.ts';

/**
 * How a worker batches. `depth`: rows of any depth share a run, rows that leave make room at once, and rows of long tokens go ahead where
 * that shortens the tail. `together`: the same, and none goes ahead: the most tokens, and a longer tail. `sequence`: rows join only at
 * depth 0, when no other row is inside the loop (continuous batching by token). `static`: nobody joins before all of a cohort of sequences
 * have ended.
 */
export const STEP_POLICIES = ['depth', 'together', 'sequence', 'static'] as const;
export type StepPolicy = (typeof STEP_POLICIES)[number];

/** What the policy sees of a chunk: the first of its (sequence, phase, depth). */
export interface ReadyChunk {
  readonly phase: Phase;
  readonly passes: number;
  /** Passes run on this worker since the rows came: all of them on a homed route. */
  readonly passesHere: number;
  readonly rows: number;
  /** Its last row is a token being generated; else they are rows of a prompt. */
  readonly decodes: boolean;
  /** Nothing but the head is known to be behind its next run. */
  readonly leaves: boolean;
  /** Rows that nobody waits for. */
  readonly deferred: boolean;
  /** Its sequence gives way to others. */
  readonly background: boolean;
}

export interface StepView<Ready> {
  readonly ready: readonly Ready[];
  /** Whether rows of the model leave through coda layers or straight through the head. */
  readonly exitPhase: 'coda' | 'head';
  /** Some sequence here is past its prompt, or has stages on other workers. */
  readonly decoding: boolean;
  /** Some sequence here is not of the background. */
  readonly hurried: boolean;
  /** Decoding chunks in one run of the block: each sequence counts for the share of it that one of its stages is. */
  readonly decodingShare: number;
  /** Rows that wait for the way out, for each that decodes on in the loop, from which on they go first. */
  readonly leavingShare: number;
  /** Runs in a row in which none of the background's ready chunks took part. */
  readonly backgroundWaited: number;
  /** As measured here; undefined while unknown, and where stages on other workers wait for what runs here. */
  readonly costs: BlockCosts | undefined;
  /** [maxDepth] passes that tokens take here on average which take more than index; undefined while unknown. */
  readonly expectedPasses: readonly number[] | undefined;
}

export interface StepLimits {
  /** Rows in one run. */
  readonly rowsMax: number;
  /** Prompt rows in one run while others decode: with the run under way, and preludes where they have layers, all that a decoding row waits for. */
  readonly prefillRows: number;
  /** Rows of background sequences in one run while others are here: with the run under way what these wait for. */
  readonly backgroundRows: number;
  /** Runs in a row that may go without the background while some of it is ready: the share of runs that it has at least. */
  readonly backgroundWaitRuns: number;
}

export interface Decision<Ready> {
  readonly phase: Phase;
  readonly chunks: readonly Ready[];
  /** The head takes those that leave in the same run. */
  readonly withHead: boolean;
}

/**
 * Which chunks run next, or undefined when nothing is ready.
 * Beside others, background sequences ride along: the others' chunks choose the phase, and of the background's in it a few rows take
 * part, whoever waited longest, none while a prompt of others is here. It chooses itself when it has had no part in
 * `backgroundWaitRuns` runs, and where others have nothing ready.
 * With `depth`, rows inside the loop whose tokens take long, or that are in their last pass, go ahead by themselves where that is worth a run more.
 * Phase else: 1. head, where rows come to it from a coda; 2. the way out (coda, or a head without one) when `leavingShare` as many rows
 * wait there as decode on in the loop; 3. prelude, for the tokens of those that left and for new prompts in one run: all make the
 * block's run fuller; 4. the block; 5. the way out with fewer; 6. rows that nobody waits for.
 * Chunks: decoding rows first, those longest here before others, so that rows leave and make room, and no more than the share
 * that leaves the other stages work: rows that run together arrive together, and would go round as one; then prompt rows within
 * their budget; those of the background last, unless they have waited so long; as they came; as many as fit, but no prompt passes another
 * that does not.
 * Head: with the coda always, it is what comes next; with the block when all rows that decode leave together, else it waits for more.
 */
export function decide<Ready extends ReadyChunk>(
  view: StepView<Ready>,
  limits: StepLimits,
  policy: StepPolicy,
): Decision<Ready> | undefined {
  const awaited = view.ready.filter((chunk) => !chunk.deferred);
  const due = view.backgroundWaited >= limits.backgroundWaitRuns;
  const few = (chunks: readonly Ready[]) =>
    view.hurried ? fewOfBackground(chunks, limits.backgroundRows) : chunks;
  const ready = view.hurried && !due ? besidePrompts(awaited) : awaited;
  if (ready.length === 0) {
    const deferred = fill(view.ready, limits, true);
    return deferred.length > 0 ? { phase: 'block', chunks: deferred, withHead: false } : undefined;
  }
  if (policy === 'sequence' || policy === 'static') {
    const seen = few(ready);
    const phase = phaseBySequence(seen)!;
    const queue = inPhase(seen, phase);
    // One sequence after the other through the loop: who is inside it finishes the pass together.
    const deepest = phase === 'block' ? atDepth(queue, Math.max(...queue.map(passesOf))) : queue;
    return run(phase, deepest, seen, { view, limits, due });
  }
  const ahead = due || policy === 'together' ? [] : rowsAhead(few(ready), view);
  if (ahead.length > 0) {
    const chunks = fill(ahead, limits, view.decoding);
    return { phase: 'block', chunks, withHead: allLeave(chunks, ready) };
  }
  const choosing = view.hurried ? orAll(ready, (chunk) => chunk.background === due) : ready;
  const phase = phaseByDepth(choosing, view)!;
  return run(phase, few(inPhase(ready, phase)), choosing, { view, limits, due });
}

/** The run of `phase` with as many of `queue` as fit; the head goes with it when nobody in `ready` would come to it later. */
function run<Ready extends ReadyChunk>(
  phase: Phase,
  queue: readonly Ready[],
  ready: readonly Ready[],
  { view, limits, due }: { view: StepView<Ready>; limits: StepLimits; due: boolean },
): Decision<Ready> {
  const share = phase === 'block' ? view.decodingShare : Number.POSITIVE_INFINITY;
  const chunks = fill(queue, limits, view.decoding, share, due);
  return { phase, chunks, withHead: phase === 'coda' || (phase === 'block' && allLeave(chunks, ready)) };
}

/** Whether a run of the block takes all that decodes to the head, where nobody waits. */
function allLeave(chunks: readonly ReadyChunk[], ready: readonly ReadyChunk[]): boolean {
  const taken = new Set(chunks);
  return ready.every(
    (chunk) => chunk.phase !== 'head' && (!chunk.decodes || (chunk.leaves && taken.has(chunk))),
  );
}

/**
 * None of the background beside a prompt of others: the runs that it is in are the longest that a decoding row waits for, and a prompt
 * is soon through.
 */
function besidePrompts<Ready extends ReadyChunk>(ready: readonly Ready[]): readonly Ready[] {
  const others = ready.filter((chunk) => !chunk.background);
  return others.some((chunk) => !chunk.decodes) ? others : ready;
}

/** All but background chunks beyond `rowsMax` rows, or the first of them when it has more. */
function fewOfBackground<Ready extends ReadyChunk>(ready: readonly Ready[], rowsMax: number): Ready[] {
  let rows = 0;
  return ready.filter((chunk) => {
    if (!chunk.background) return true;
    const joins = rows === 0 || rows + chunk.rows <= rowsMax;
    if (joins) rows += chunk.rows;
    return joins;
  });
}

/** Those that are `meant`; all where none is. */
function orAll<Ready>(ready: readonly Ready[], meant: (chunk: Ready) => boolean): readonly Ready[] {
  const found = ready.filter(meant);
  return found.length > 0 ? found : ready;
}

/** Where all passes run here: fuller runs of coda and head against the wait. */
const LEAVING_SHARE = 0.5;

/**
 * The `leavingShare` of a worker by what its runs take in milliseconds, 0 where unknown. L rows that go first have k others wait for
 * `leavingMs`; those that do not wait for `stepMs` themselves, and stages on other workers with them: there L·stepMs > k·leavingMs decides.
 */
export const leavingShareOf = (
  homed: boolean,
  { stepMs, leavingMs }: { readonly stepMs: number; readonly leavingMs: number },
): number => (homed || stepMs === 0 ? LEAVING_SHARE : Math.min(LEAVING_SHARE, leavingMs / stepMs));

function phaseByDepth(
  ready: readonly ReadyChunk[],
  { exitPhase, decodingShare, leavingShare }: StepView<ReadyChunk>,
): Phase | undefined {
  const count = (phase: Phase) => inPhase(ready, phase).length;
  if (exitPhase === 'coda' && count('head') > 0) return 'head';
  const inLoop = Math.min(decodingShare, inPhase(ready, 'block').filter((chunk) => chunk.decodes).length);
  if (count(exitPhase) > 0 && leavingShare * inLoop <= count(exitPhase)) return exitPhase;
  if (count('prelude') > 0) return 'prelude';
  return count('block') > 0 ? 'block' : exitPhase;
}

/** Whoever is furthest goes first, and depth 0 begins when nobody is inside. */
function phaseBySequence(ready: readonly ReadyChunk[]): Phase | undefined {
  if (inPhase(ready, 'block').some((chunk) => chunk.passes > 0)) return 'block';
  return (['coda', 'head', 'prelude', 'block'] as const).find((phase) => inPhase(ready, phase).length > 0);
}

/** `backgroundWaited` behind the run that `decision` makes. */
export function backgroundWaitedBehind<Ready extends ReadyChunk>(
  ready: readonly Ready[],
  { chunks }: Decision<Ready>,
  waited: number,
): number {
  const waits = ready.some((chunk) => chunk.background && !chunk.deferred);
  return waits && !chunks.some((chunk) => chunk.background) ? waited + 1 : 0;
}

const inPhase = <Ready extends ReadyChunk>(ready: readonly Ready[], phase: Phase): Ready[] =>
  ready.filter((chunk) => chunk.phase === phase);
const passesOf = (chunk: ReadyChunk): number => chunk.passes;
const atDepth = <Ready extends ReadyChunk>(queue: readonly Ready[], passes: number): Ready[] =>
  queue.filter((chunk) => chunk.passes === passes);

function fill<Ready extends ReadyChunk>(
  queue: readonly Ready[],
  { rowsMax, prefillRows }: StepLimits,
  decoding: boolean,
  share = Number.POSITIVE_INFINITY,
  backgroundFirst = false,
): Ready[] {
  const last = backgroundFirst ? -1 : 1;
  const byUrgency = queue.toSorted(
    (a, b) =>
      Number(b.decodes) - Number(a.decodes) ||
      last * (Number(a.background) - Number(b.background)) ||
      b.passesHere - a.passesHere,
  );
  // However many decode, there is room for a chunk of a prompt.
  const decodingMax = queue.every(({ decodes }) => decodes) ? rowsMax : rowsMax - prefillRows;
  const chunks: Ready[] = [];
  let [rows, promptRows, decodes] = [0, 0, 0];
  /** A prompt chunk has found no room: shorter ones do not pass it, for of these there may come more without end. */
  let promptWaits = false;
  for (const chunk of byUrgency) {
    const withinBudget = !decoding || promptRows === 0 || promptRows + chunk.rows <= prefillRows;
    const fits = chunk.decodes
      ? decodes < share && rows + chunk.rows <= decodingMax
      : !promptWaits && withinBudget && rows + chunk.rows <= rowsMax;
    if (chunks.length > 0 && !fits) {
      promptWaits ||= !chunk.decodes;
      continue;
    }
    chunks.push(chunk);
    rows += chunk.rows;
    if (chunk.decodes) decodes++;
    else promptRows += chunk.rows;
  }
  return chunks;
}

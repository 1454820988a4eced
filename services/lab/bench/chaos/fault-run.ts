import { setTimeout as delay } from 'node:timers/promises';
import { RandomStream } from '../../load/random-stream.ts';
import type { ChaosCluster, Slot } from './chaos-cluster.ts';
import { type Action, isFault, type Step } from './fault-walk.ts';
import type { HealthWatch } from './health-watch.ts';
import type { NatsProcess } from './nats-process.ts';
import { RESET_CODES } from './stream-tap.ts';

/** A step of the walk that was taken. Times are milliseconds of this process's monotonic clock. */
export interface TakenStep {
  readonly action: Action;
  readonly slot: string;
  readonly address: string;
  readonly atMs: number;
  /** Of a reset: the code. */
  readonly how?: string;
}

export interface FaultRunOptions {
  readonly cluster: Pick<ChaosCluster, 'slots' | 'kill' | 'drain' | 'join' | 'bringBack'>;
  readonly health: Pick<HealthWatch, 'serving'>;
  readonly nats: NatsProcess | undefined;
  readonly walk: Iterable<Step>;
  readonly seed: number;
  /** Workers that must serve beside the one that a fault takes away. */
  readonly least: number;
  /** Mean time from step to step. */
  readonly everyMs: number;
  readonly forMs: number;
  readonly faults: number;
  /** A worker that came back and does not serve after so long counts as lost for good, in milliseconds. */
  readonly returnMs: number;
  readonly signal: AbortSignal;
  readonly onStep: (step: TakenStep, faults: number) => void;
}

/** NATS is away for so long at most, in milliseconds. */
const NATS_AWAY_MS = 20_000;

/** What a run of faults did. */
export interface FaultRun {
  readonly steps: readonly TakenStep[];
  /** Workers that should have served again and did not in time. */
  readonly stuck: readonly string[];
}

/**
 * Takes the steps of a walk until time or faults are used up. A step that takes a worker away waits until another one
 * serves in the eyes of every coordinator. In the end whatever is stopped or cut goes on, and every worker that has a
 * process is waited for.
 */
export async function runFaults(options: FaultRunOptions): Promise<FaultRun> {
  const { cluster, everyMs, forMs, signal } = options;
  const draws = new RandomStream(options.seed ^ 0x5eed);
  const steps: TakenStep[] = [];
  const stuck = new Set<string>();
  const serving = new Set(cluster.slots.filter(({ process }) => process !== undefined));
  const endMs = performance.now() + forMs;
  let faults = 0;
  for (const { action, slot: index, gap } of options.walk) {
    if (faults >= options.faults || performance.now() >= endMs || signal.aborted) break;
    const slot = cluster.slots[index];
    if (slot && TAKES_AWAY.has(action)) {
      serving.delete(slot);
      for (const name of await absentees(options, [...serving], options.least)) stuck.add(name);
      if (stuck.size > 0) break;
    } else if (slot && BRINGS_BACK.has(action)) serving.add(slot);
    // A worker can be told to stop only once it runs.
    await slot?.starting;
    if (signal.aborted) break;
    const how = slot
      ? act(cluster, action, slot, draws)
      : options.nats?.restart(NATS_AWAY_MS * draws.next()) && '';
    if (typeof how === 'string') {
      const where = slot ? { slot: slot.name, address: slot.cable.address } : { slot: 'nats', address: '' };
      const step = { action, ...where, atMs: performance.now() };
      steps.push({ ...step, ...(how !== '' && { how }) });
      if (isFault(action)) faults++;
      options.onStep(steps.at(-1)!, faults);
    }
    await delay(gap * everyMs, undefined, { signal }).catch(() => undefined);
  }
  for (const { cable, process, starting } of cluster.slots) {
    await starting;
    cable.heal();
    process?.kill('SIGCONT');
  }
  // One that serves is enough to go on, so that only now is each one held to what it came back for.
  const present = cluster.slots.filter(({ process }) => process !== undefined);
  for (const name of await absentees(options, present, present.length)) stuck.add(name);
  return { steps, stuck: [...stuck] };
}

const TAKES_AWAY: ReadonlySet<Action> = new Set(['kill', 'stop', 'cut', 'drain']);
const BRINGS_BACK: ReadonlySet<Action> = new Set(['join', 'restart', 'continue', 'heal']);

/** Waits until `least` of `others` serve; names those who do not when that takes too long. */
async function absentees(
  { health, returnMs, signal }: FaultRunOptions,
  others: readonly Slot[],
  least: number,
): Promise<string[]> {
  const deadline = performance.now() + returnMs;
  const absent = () => others.filter(({ cable }) => !health.serving(cable.address));
  while (others.length - absent().length < least && !signal.aborted) {
    if (performance.now() > deadline) return absent().map(({ name }) => name);
    await delay(20, undefined, { signal }).catch(() => undefined);
  }
  return [];
}

/** Does one thing. Undefined when there was nothing to do it to, else how it was done, if that needs words. */
function act(
  cluster: FaultRunOptions['cluster'],
  action: Action,
  slot: Slot,
  draws: RandomStream,
): string | undefined {
  switch (action) {
    case 'kill':
      cluster.kill(slot);
      return '';
    case 'drain':
      cluster.drain(slot);
      return '';
    case 'stop':
      slot.process!.kill('SIGSTOP');
      return '';
    case 'continue':
      slot.process!.kill('SIGCONT');
      return '';
    case 'cut':
      slot.cable.cut();
      return '';
    case 'heal':
      slot.cable.heal();
      return '';
    case 'drop':
      return slot.cable.drop() > 0 ? '' : undefined;
    case 'reset': {
      const codes = Object.entries(RESET_CODES);
      const [name, code] = codes[draws.whole(0, codes.length - 1)]!;
      return slot.cable.reset((streams) => draws.whole(0, streams - 1), code) ? name : undefined;
    }
    case 'join':
      cluster.join(slot);
      return '';
    case 'restart':
      cluster.bringBack(slot);
      return '';
    case 'nats':
      return undefined;
  }
}

import { type Address, LIMITS, RondoError, type Route, type SequenceId } from '@rondo/core';
import { nextWorkers } from './itinerary.ts';
import type { Residency } from './residency.ts';
import type { Tenant } from './tenant.ts';

/** Milliseconds that a run of the block and a hop take here; 0 before the first. */
export interface RunTimes {
  readonly stepMs: number;
  readonly hopMs: number;
}

/**
 * The part of a run that one sequence may count for: one of its stages, and of that as much less as rows are on their way
 * while others run; no less than half, for what a run costs besides its rows.
 */
function shareOf(route: Route, { stepMs, hopMs }: RunTimes): number {
  const stages = route.stages.length;
  if (stages === 1) return 1;
  const stageMs = (stepMs * route.stages.at(-1)!.depths.end) / stages;
  return 1 / stages / (1 + Math.min(1, stageMs === 0 ? 0 : hopMs / stageMs));
}

/** The sequences on this worker, at most one epoch of each. */
export class Tenants {
  readonly #byId = new Map<SequenceId, Tenant>();
  /** How many there are of each number of stages, which is all that counts of a route for its share of a run. */
  readonly #byStages = new Map<number, { route: Route; count: number }>();
  readonly #changed: () => void;

  /** `changed`: one has come or left. */
  constructor(changed: () => void = () => undefined) {
    this.#changed = changed;
  }

  get count(): number {
    return this.#byId.size;
  }

  /** Whether some sequence here is past its prompt, or has stages elsewhere that wait for what runs here. */
  get decoding(): boolean {
    for (const tenant of this.#byId.values()) {
      if (tenant.route.stages.length > 1 || tenant.kind === 'stage' || tenant.decoding) return true;
    }
    return false;
  }

  /** What the sequences here are: `home` when some live here, `stage` when all only run stages here; undefined without any. */
  get role(): 'home' | 'stage' | undefined {
    let role: 'stage' | undefined;
    for (const { kind } of this.#byId.values()) {
      if (kind === 'home') return 'home';
      role = 'stage';
    }
    return role;
  }

  /** Whether no sequence here has stages on other workers. */
  get homed(): boolean {
    for (const stages of this.#byStages.keys()) if (stages > 1) return false;
    return true;
  }

  /** Whether some sequence here is not of the background. */
  get hurried(): boolean {
    for (const { background } of this.#byId.values()) if (!background) return true;
    return false;
  }

  /**
   * Rows that decode here at a time when every stage of every sequence has as much to do and no stage waits for a hop. At least 1.
   */
  decodingShare(times: RunTimes): number {
    let share = 0;
    for (const { route, count } of this.#byStages.values()) share += count * shareOf(route, times);
    // The sum of three thirds is a little more or less than one.
    return Math.max(1, Math.ceil(share - 1e-6));
  }

  /**
   * Makes room for a sequence: an older epoch of it ends, unless even so there would be no room: then that can go on.
   * @param fits whether there would be room if the residency given were closed now
   * @throws RondoError OVERLOADED at the limit, INVALID_REQUEST when this or a newer epoch is already here.
   */
  admit(sequenceId: SequenceId, route: Route, fits: (leaving: Residency) => boolean): void {
    const present = this.#byId.get(sequenceId);
    if (present && present.route.epoch >= route.epoch) {
      throw new RondoError(
        'INVALID_REQUEST',
        `sequence ${sequenceId} is already open in epoch ${present.route.epoch}, epoch ${route.epoch} is not newer`,
      );
    }
    if (present && fits(present.residency)) {
      present.fail(
        new RondoError('CANCELLED', `sequence ${sequenceId} was placed anew in epoch ${route.epoch}`),
      );
    }
    if (this.#byId.size >= LIMITS.sequencesMax) {
      throw new RondoError('OVERLOADED', `this worker runs its limit of ${LIMITS.sequencesMax} sequences`);
    }
  }

  add(tenant: Tenant): void {
    const before = this.#byId.get(tenant.sequenceId);
    if (before) this.remove(before);
    this.#byId.set(tenant.sequenceId, tenant);
    const { route } = tenant;
    const alike = this.#byStages.get(route.stages.length) ?? { route, count: 0 };
    this.#byStages.set(route.stages.length, { route, count: alike.count + 1 });
    this.#changed();
  }

  remove(tenant: Tenant): void {
    if (this.#byId.get(tenant.sequenceId) !== tenant) return;
    this.#byId.delete(tenant.sequenceId);
    const stages = tenant.route.stages.length;
    const { route, count } = this.#byStages.get(stages)!;
    if (count > 1) this.#byStages.set(stages, { route, count: count - 1 });
    else this.#byStages.delete(stages);
    this.#changed();
  }

  /** The sequence in exactly this epoch; undefined for anything stale. */
  find(sequenceId: SequenceId, epoch: number): Tenant | undefined {
    const tenant = this.#byId.get(sequenceId);
    return tenant?.route.epoch === epoch ? tenant : undefined;
  }

  /** Fails the sequences that send to the worker at `address`. */
  failUsersOf(address: Address, self: string, error: RondoError): void {
    for (const tenant of [...this.#byId.values()]) {
      if (nextWorkers(tenant.route, self).includes(address)) tenant.fail(error);
    }
  }

  failAll(error: RondoError): void {
    for (const tenant of [...this.#byId.values()]) tenant.fail(error);
  }
}

import { type Address, LIMITS, RondoError, type Route, type SequenceId } from '@rondo/core';
import { nextWorkers } from './itinerary.ts';
import type { Tenant } from './tenant.ts';

/** The sequences on this worker, at most one epoch of each. */
export class Tenants {
  readonly #byId = new Map<SequenceId, Tenant>();

  get count(): number {
    return this.#byId.size;
  }

  /** Whether some sequence here is past its prompt. */
  get decoding(): boolean {
    for (const tenant of this.#byId.values()) if (tenant.kind === 'stage' || tenant.decoding) return true;
    return false;
  }

  /** Whether some sequence that lives here is not of the background. */
  get hurried(): boolean {
    for (const { background } of this.#byId.values()) if (background === false) return true;
    return false;
  }

  /**
   * Makes room for a sequence: an older epoch of it ends.
   * @throws RondoError OVERLOADED at the limit, INVALID_REQUEST when this or a newer epoch is already here.
   */
  admit(sequenceId: SequenceId, route: Route): void {
    const present = this.#byId.get(sequenceId);
    if (present && present.route.epoch >= route.epoch) {
      throw new RondoError(
        'INVALID_REQUEST',
        `sequence ${sequenceId} is already open in epoch ${present.route.epoch}, epoch ${route.epoch} is not newer`,
      );
    }
    present?.fail(
      new RondoError('CANCELLED', `sequence ${sequenceId} was placed anew in epoch ${route.epoch}`),
    );
    if (this.#byId.size >= LIMITS.sequencesMax) {
      throw new RondoError('OVERLOADED', `this worker runs its limit of ${LIMITS.sequencesMax} sequences`);
    }
  }

  add(tenant: Tenant): void {
    this.#byId.set(tenant.sequenceId, tenant);
  }

  remove(tenant: Tenant): void {
    if (this.#byId.get(tenant.sequenceId) === tenant) this.#byId.delete(tenant.sequenceId);
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

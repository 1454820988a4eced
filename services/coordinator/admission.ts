import { RondoError } from '@rondo/core';

export interface AdmissionView {
  /** Requests held now, running and waiting. */
  readonly inFlight: number;
  readonly inFlightMax: number;
  readonly draining: boolean;
}

export type AdmissionDecision = 'admit' | 'refuse-full' | 'refuse-draining';

/** Draining comes first: a full coordinator that is going away must not ask its client to come back. */
export function admissionDecision(view: AdmissionView): AdmissionDecision {
  if (view.draining) return 'refuse-draining';
  return view.inFlight < view.inFlightMax ? 'admit' : 'refuse-full';
}

/** The door's counter: every admitted request holds one place until it is released. */
export class Admission {
  readonly #inFlightMax: number;
  #inFlight = 0;
  #draining = false;

  constructor(inFlightMax: number) {
    this.#inFlightMax = inFlightMax;
  }

  get inFlightMax(): number {
    return this.#inFlightMax;
  }

  get inFlight(): number {
    return this.#inFlight;
  }

  get draining(): boolean {
    return this.#draining;
  }

  /** @throws RondoError OVERLOADED when full, NO_WORKER when draining. */
  enter(): { leave(): void } {
    const decision = admissionDecision({
      inFlight: this.#inFlight,
      inFlightMax: this.#inFlightMax,
      draining: this.#draining,
    });
    switch (decision) {
      case 'refuse-draining':
        throw new RondoError('NO_WORKER', 'this coordinator is shutting down; send the request to another');
      case 'refuse-full':
        throw new RondoError(
          'OVERLOADED',
          `${this.#inFlight} ${this.#inFlight === 1 ? 'request is' : 'requests are'} in flight, the most this coordinator holds; try again shortly`,
        );
      case 'admit': {
        this.#inFlight++;
        let held = true;
        return {
          leave: () => {
            if (held) this.#inFlight--;
            held = false;
          },
        };
      }
    }
  }

  /** Refuses everything from now on. */
  drain(): void {
    this.#draining = true;
  }
}

import type { Counter, Metrics } from '@rondo/chassis';
import { type Clock, LIMITS, RondoError } from '@rondo/core';
import type { ApiKey, ApiKeys } from './api-keys.ts';
import { keyDecision, rateHeaders, refilled } from './key-allowance.ts';

/** What a key has used; shared by all requests of its name, also when its line changes. */
interface Use {
  allowance: number;
  atMs: number;
  running: number;
}

export interface KeyGateOptions {
  /** Read for each request, so that an exchanged file counts at once. */
  readonly keys: { readonly current: ApiKeys };
  readonly metrics: Metrics;
  readonly clock: Clock;
}

export interface Entry {
  readonly name: string;
  /** The request has ended, however. */
  leave(): void;
}

/** Sets a header of the answer, whether the request is let in or not. */
type SetHeader = (name: string, value: string) => void;

/** Lets requests in by their key, each within the key's limits. The limits are those of this process alone. */
export class KeyGate {
  readonly #keys: { readonly current: ApiKeys };
  readonly #clock: Clock;
  readonly #requests: Counter<'key' | 'outcome'>;
  readonly #uses = new Map<string, Use>();

  constructor({ keys, metrics, clock }: KeyGateOptions) {
    this.#keys = keys;
    this.#clock = clock;
    this.#requests = metrics.counter('rondo_api_key_requests_total', 'Requests by the name of their key', [
      'key',
      'outcome',
    ]);
  }

  /**
   * `authorization`: the request's header.
   * @throws RondoError INVALID_API_KEY without a key of the file, RATE_LIMIT_EXCEEDED beyond the key's limits
   */
  enter(authorization: string | undefined, setHeader: SetHeader): Entry {
    const key = this.#identify(authorization, setHeader);
    const use = this.#useOf(key);
    const decision = keyDecision({ ...key, allowance: use.allowance, running: use.running });
    if (decision.kind === 'admit') use.allowance = Math.max(0, use.allowance - 1);
    if (key.requestsPerMinute !== undefined) {
      for (const [name, value] of Object.entries(rateHeaders(use.allowance, key.requestsPerMinute))) {
        setHeader(name, value);
      }
    }
    this.#requests.inc({ key: key.name, outcome: decision.kind });
    switch (decision.kind) {
      case 'refuse-concurrent':
        throw new RondoError(
          'RATE_LIMIT_EXCEEDED',
          `key ${key.name} has ${use.running} requests under way, the most it may; try again when one has ended`,
        );
      case 'refuse-rate': {
        const seconds = Math.ceil(decision.waitMs / 1000);
        setHeader('retry-after', String(seconds));
        throw new RondoError(
          'RATE_LIMIT_EXCEEDED',
          `key ${key.name} may start ${key.requestsPerMinute} requests a minute; try again in ${seconds} s`,
        );
      }
      case 'admit':
        return this.#admit(key.name, use);
    }
  }

  #admit(name: string, use: Use): Entry {
    use.running++;
    let held = true;
    return {
      name,
      leave() {
        if (held) use.running--;
        held = false;
      },
    };
  }

  #identify(authorization: string | undefined, setHeader: SetHeader): ApiKey {
    const [, presented] = /^Bearer +([\x21-\x7e]{1,256})$/i.exec(authorization ?? '') ?? [];
    const key = presented === undefined ? undefined : this.#keys.current.find(presented);
    if (key !== undefined) return key;
    this.#requests.inc({ key: '', outcome: presented === undefined ? 'no-key' : 'unknown-key' });
    setHeader('www-authenticate', 'Bearer');
    throw new RondoError(
      'INVALID_API_KEY',
      presented === undefined
        ? 'no API key: send it in the header Authorization: Bearer <key>'
        : 'the API key is not one of this server',
    );
  }

  #useOf({ name, requestsPerMinute = 0 }: ApiKey): Use {
    const now = this.#clock.now();
    const known = this.#uses.get(name);
    if (known !== undefined) {
      known.allowance = refilled(known.allowance, requestsPerMinute, now - known.atMs);
      known.atMs = now;
      return known;
    }
    if (this.#uses.size >= LIMITS.apiKeysMax) this.#forgetGone();
    const use = { allowance: requestsPerMinute, atMs: now, running: 0 };
    this.#uses.set(name, use);
    return use;
  }

  /** Keys come and go over months. */
  #forgetGone(): void {
    const present = new Set(this.#keys.current.names);
    for (const [name, { running }] of this.#uses) {
      if (running === 0 && !present.has(name)) this.#uses.delete(name);
    }
  }
}

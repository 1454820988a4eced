import type { Bundle } from '@rondo/bundle';
import { RondoError } from '@rondo/core';
import type { Membership } from './membership.ts';
import { checkDescription, type WorkerLink } from './worker-link.ts';

export interface Health {
  readonly status: 'ok' | 'unavailable' | 'draining';
  readonly workers: readonly WorkerHealth[];
}

interface WorkerHealth {
  readonly id: string;
  readonly address: string;
  readonly status: 'ok' | 'warming' | 'unreachable' | 'mismatch';
  /** Execution provider that ran the worker's warm-up pass. */
  readonly provider?: string;
  readonly load?: object;
  readonly reason?: string;
}

/** How long one worker may take to describe itself before it counts as unreachable, in milliseconds. */
const DESCRIBE_MS = 2_000;

/** Asks every worker now: ready is who has run a real pass on a real execution provider and serves this bundle. */
export async function checkHealth(
  membership: Membership,
  bundle: Bundle,
  draining: boolean,
): Promise<Health> {
  const workers = await Promise.all(membership.links.map((link) => checkWorker(link, bundle)));
  const ready = workers.some(({ status }) => status === 'ok');
  return { status: draining ? 'draining' : ready ? 'ok' : 'unavailable', workers };
}

async function checkWorker({ worker, client }: WorkerLink, bundle: Bundle): Promise<WorkerHealth> {
  const { id, address } = worker;
  try {
    const description = await client.describe(AbortSignal.timeout(DESCRIBE_MS));
    checkDescription(address, description, bundle);
    const { provider, load } = description;
    return { id, address, status: provider === '' ? 'warming' : 'ok', provider, load };
  } catch (thrown) {
    const { code, message } = RondoError.from(thrown);
    const mismatch = code === 'BUNDLE_MISMATCH' || code === 'PROTOCOL_MISMATCH';
    return { id, address, status: mismatch ? 'mismatch' : 'unreachable', reason: message };
  }
}

import type { Bundle } from '@rondo/bundle';
import { RondoError } from '@rondo/core';
import type { Membership } from './membership.ts';
import type { Model } from './model.ts';
import type { Distrust } from './reputations.ts';
import type { RosterHealth } from './roster.ts';
import { checkDescription, type WorkerLink } from './worker-link.ts';

export interface Health {
  readonly status: 'ok' | 'unavailable' | 'draining';
  readonly workers: readonly WorkerHealth[];
  /** Of each model, where there are several: whether a worker serves it. */
  readonly models?: Readonly<Record<string, 'ok' | 'unavailable'>> | undefined;
  /** Where workers announce themselves. */
  readonly roster?: RosterHealth | undefined;
}

interface WorkerHealth {
  /** Absent before it has described itself for the first time. */
  readonly id?: string;
  readonly address: string;
  /** What it holds, where there are several models. */
  readonly model?: string | undefined;
  readonly status: 'ok' | 'draining' | 'warming' | 'unreachable' | 'mismatch';
  /** Execution provider that ran the worker's warm-up pass. */
  readonly provider?: string;
  readonly load?: object;
  /** It said what cannot answer a request, and is given nothing new, or little. */
  readonly distrust?: Distrust | undefined;
  readonly reason?: string;
}

/** How long one worker may take to describe itself before it counts as unreachable, in milliseconds. */
const DESCRIBE_MS = 2_000;

/**
 * Asks every worker that is linked now: ready is who has run a real pass on a real execution provider and serves its model's
 * bundle. One model that is served is enough: the others' requests are told to come back.
 */
export async function checkHealth(models: readonly Model[], draining: boolean): Promise<Health> {
  const several = models.length > 1;
  const checked = await Promise.all(
    models.map(async ({ name, bundle, membership }) => {
      const workers = await Promise.all(
        membership.links.map((link) => checkWorker(link, bundle, membership)),
      );
      const status = workers.some((worker) => worker.status === 'ok') ? 'ok' : 'unavailable';
      const told = several ? workers.map((worker) => ({ ...worker, model: name })) : workers;
      return { name, status, workers: told } as const;
    }),
  );
  const ready = checked.some(({ status }) => status === 'ok');
  return {
    status: draining ? 'draining' : ready ? 'ok' : 'unavailable',
    workers: checked.flatMap(({ workers }) => workers),
    models: several ? Object.fromEntries(checked.map(({ name, status }) => [name, status])) : undefined,
  };
}

async function checkWorker(link: WorkerLink, bundle: Bundle, membership: Membership): Promise<WorkerHealth> {
  const { linked } = link;
  const known = link.known?.worker ?? { address: link.address };
  if (linked === undefined) return { ...known, ...absence(link.failure) };
  try {
    const description = await linked.client.describe(AbortSignal.timeout(DESCRIBE_MS));
    checkDescription(known.address, description, bundle);
    const { provider, load } = description;
    const serving = link.state === 'draining' ? 'draining' : 'ok';
    const distrust = membership.distrust(linked.worker.id);
    return { ...known, status: provider === '' ? 'warming' : serving, provider, load, distrust };
  } catch (thrown) {
    return { ...known, ...absence(RondoError.from(thrown)) };
  }
}

function absence(failure: RondoError | undefined): Pick<WorkerHealth, 'status' | 'reason'> {
  const mismatch = failure?.code === 'BUNDLE_MISMATCH' || failure?.code === 'PROTOCOL_MISMATCH';
  return {
    status: mismatch ? 'mismatch' : 'unreachable',
    reason: failure?.message ?? 'it is being looked for',
  };
}

import { AdminServer } from '@rondo/chassis';
import type { RunningCoordinator } from '@rondo/coordinator';
import type { Address } from '@rondo/core';
import type { RunningWorker } from '@rondo/worker';
import type { Command } from 'commander';
import { addressOption } from './options.ts';
import type { Chassis } from './serve.ts';

export interface AdminFlags {
  readonly admin?: Address;
}

export const ADMIN_HELP = `
--admin opens a port for operators: GET /metrics, /healthz (alive), /readyz (ready, with details), GET and
PUT /log-level (curl -X PUT -d debug …). It is plaintext and asks for no key: keep it inside the cluster's network.`;

export const addAdminOptions = (command: Command): Command =>
  command.option(
    '--admin <host:port>',
    'a port of its own for metrics, readiness and the log level (default: none)',
    addressOption('--admin'),
  );

/** Started first and stopped last, so that a probe finds out how the process is. */
export async function openAdmin(
  { admin: listen }: AdminFlags,
  chassis: Chassis,
): Promise<AdminServer | undefined> {
  if (listen === undefined) return undefined;
  const { log, metrics, lifecycle } = chassis;
  const admin = await AdminServer.start({ listen, log, metrics });
  lifecycle.onStop('admin port', () => admin.stop());
  return admin;
}

/** Ready is who has a worker that is; call when all else has started. */
export function announceCoordinator(
  admin: AdminServer | undefined,
  coordinator: RunningCoordinator,
  chassis: Chassis,
): void {
  admin?.announce(async () => {
    const health = await coordinator.health();
    return { ready: health.status === 'ok', details: health };
  });
  announceEnd(admin, chassis);
}

/** Ready from its first listening moment, after a real pass has run; a worker that breaks ends its process. */
export function announceWorkers(
  admin: AdminServer | undefined,
  workers: readonly RunningWorker[],
  chassis: Chassis,
): void {
  const details = { status: 'ok', workers: workers.map(({ workerId: id, address }) => ({ id, address })) };
  admin?.announce(async () => ({ ready: true, details }));
  announceEnd(admin, chassis);
}

/** The newest part stops first: nobody is sent here any more while the others end their work. */
function announceEnd(admin: AdminServer | undefined, { lifecycle }: Chassis): void {
  lifecycle.onStop('readiness', () =>
    admin?.announce(async () => ({ ready: false, details: { status: 'draining' } })),
  );
}

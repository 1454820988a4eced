import { type Address, address, RondoError, workerId } from '@rondo/core';
import { AnnouncementBoard, type NatsLink } from '@rondo/wire';
import { Announcer, type RunningWorker } from '@rondo/worker';
import type { Chassis } from './serve.ts';

/**
 * Announces `worker` over NATS for as long as the process serves: that it drains as soon as it is told to stop, and the
 * farewell once it has stopped. `keep` puts the stop of the worker itself between the two.
 */
export function announce(
  link: NatsLink,
  worker: RunningWorker,
  { log, lifecycle }: Chassis,
  keep: () => void,
): void {
  const look = () => {
    const { load, advertisedAddress, ...about } = worker.describe();
    return {
      ...about,
      workerId: workerId(worker.workerId),
      address: advertisedAddress ?? address(worker.address),
      load: { ...load },
      state: 'serving' as const,
    };
  };
  const announcer = new Announcer(new AnnouncementBoard(link), look, log);
  announcer.start();
  link.onConnected(() => void announcer.announce());
  lifecycle.onStop('announcement', () => announcer.farewell());
  keep();
  // Not waited for: the drain itself begins now, whether NATS hears of it or not.
  lifecycle.onStop('announced drain', () => void announcer.drain());
}

/** @throws RondoError CONFIG_INVALID when nobody could reach the worker at the address it would announce. */
export function checkReachable(listen: Address, advertise: Address | undefined): void {
  if (advertise !== undefined || !/^(0\.0\.0\.0|\[::\]):/.test(listen)) return;
  throw new RondoError(
    'CONFIG_INVALID',
    `--listen ${listen} is no address that others can reach; with --nats say --advertise host:port, too`,
  );
}

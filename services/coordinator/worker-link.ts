import { setTimeout as delay } from 'node:timers/promises';
import type { Bundle } from '@rondo/bundle';
import type { Logger } from '@rondo/chassis';
import { type Address, RondoError, type WorkerRef } from '@rondo/core';
import { PROTOCOL_REVISION, type WorkerClient, type WorkerDescription } from '@rondo/wire';

/** A worker that was asked who it is and that serves the same bundle. */
export interface WorkerLink {
  readonly worker: WorkerRef;
  readonly client: WorkerClient;
  /** Positions of full-depth KV that the worker holds when it is empty. */
  readonly totalPositions: number;
}

export interface LinkOptions {
  readonly bundle: Bundle;
  readonly connect: (address: Address) => WorkerClient;
  /** How long a worker may stay unreachable, in milliseconds. */
  readonly connectMs: number;
  readonly log: Logger;
}

const RETRY_MS = 200;

/**
 * Connects to one worker and checks that it can be worked with.
 * @throws RondoError NO_WORKER when it stays unreachable, BUNDLE_MISMATCH or PROTOCOL_MISMATCH when it serves another
 * bundle or speaks another protocol; the connection is closed then.
 */
export async function linkWorker(address: Address, options: LinkOptions): Promise<WorkerLink> {
  const client = options.connect(address);
  try {
    const description = await describeWithin(options.connectMs, address, client);
    checkDescription(address, description, options.bundle);
    options.log.info(
      { worker: description.workerId, address, provider: description.provider },
      'worker joined',
    );
    return {
      client,
      totalPositions: description.load.totalPositions,
      worker: { id: description.workerId, address: description.advertisedAddress ?? address },
    };
  } catch (error) {
    client.close();
    throw error;
  }
}

/** @throws RondoError naming what differs and on which side. */
export function checkDescription(address: Address, description: WorkerDescription, bundle: Bundle): void {
  if (description.protocolRevision !== PROTOCOL_REVISION) {
    throw new RondoError(
      'PROTOCOL_MISMATCH',
      `worker ${address} speaks protocol revision ${description.protocolRevision}, this coordinator ${PROTOCOL_REVISION}; run the same version of Rondo on both`,
    );
  }
  if (description.bundleDigest !== bundle.digest) {
    throw new RondoError(
      'BUNDLE_MISMATCH',
      `worker ${address} serves bundle '${description.bundleName}' (${short(description.bundleDigest)}), this coordinator '${bundle.manifest.name}' (${short(bundle.digest)}); start both with the same bundle`,
    );
  }
}

const short = (digest: string): string => digest.slice(0, 12);

async function describeWithin(
  connectMs: number,
  address: Address,
  client: WorkerClient,
): Promise<WorkerDescription> {
  const deadline = AbortSignal.timeout(connectMs);
  for (;;) {
    try {
      return await client.describe(deadline);
    } catch (thrown) {
      const error = RondoError.from(thrown);
      if (!error.retryable && !deadline.aborted) throw error;
      // The wait ends early at the deadline, which the check below then reports.
      await delay(RETRY_MS, undefined, { signal: deadline }).catch(() => undefined);
      if (deadline.aborted) {
        throw new RondoError(
          'NO_WORKER',
          `worker ${address} is unreachable for ${connectMs / 1000} s; is 'rondo worker --listen ${address}' running?`,
          { cause: error },
        );
      }
    }
  }
}

import { isDeepStrictEqual } from 'node:util';
import {
  JetStreamApiCodes,
  JetStreamApiError,
  type JetStreamManager,
  type StreamConfig,
} from '@nats-io/jetstream';
import { RondoError } from '@rondo/core';
import type { NatsLink } from './nats-link.ts';
import { storeCall } from './store-call.ts';

/** What a key-value bucket and an object store are called as streams. */
export const bucketStream = (bucket: string): string => `KV_${bucket}`;
export const objectsStream = (bucket: string): string => `OBJ_${bucket}`;

/** What is wanted of a stream; the rest is as NATS or its operator has it. */
export type StreamWish = Partial<StreamConfig> & { readonly name: string };

/** Copies as the link was told of; of a link that was not, each stream has as many as it was made with. */
export const copiesWanted = ({ replicas }: Pick<NatsLink, 'replicas'>): { readonly num_replicas?: number } =>
  replicas === undefined ? {} : { num_replicas: replicas };

/** JSStreamNameExistErr: there is one of that name, configured otherwise. */
const NAME_IN_USE = 10058;

/**
 * Makes the stream, or brings the one that is there to what is wanted: it may be of an earlier release, or have had another number
 * of copies.
 * @throws RondoError NATS_UNAVAILABLE that names the stream when NATS refuses, else whatever NATS says.
 */
export async function openStream(manager: JetStreamManager, wish: StreamWish): Promise<void> {
  const made = await naming(wish, () =>
    manager.streams.add({ ...wish }).then(
      () => true,
      (thrown: unknown) => {
        if (thrown instanceof JetStreamApiError && thrown.code === NAME_IN_USE) return false;
        throw thrown;
      },
    ),
  );
  if (!made) await fitStream(manager, wish);
}

/**
 * Brings the stream that is there to what is wanted; one that is like that already is left alone.
 * @throws RondoError as `openStream`
 */
export async function fitStream(manager: JetStreamManager, wish: StreamWish): Promise<void> {
  const { config } = await manager.streams.info(wish.name);
  const found: Readonly<Record<string, unknown>> = { ...config };
  if (Object.entries(wish).every(([field, value]) => isDeepStrictEqual(found[field], value))) return;
  const { name, ...changes } = wish;
  await naming(wish, () => manager.streams.update(name, changes));
}

/** Has what NATS says against a stream tell which one it is, and what was wanted of it. */
export async function naming<T>(wish: StreamWish, call: () => Promise<T>): Promise<T> {
  try {
    return await call();
  } catch (cause) {
    if (!(cause instanceof JetStreamApiError)) throw cause;
    const { name, ...wanted } = wish;
    const fields = Object.entries(wanted).map(([field, value]) => `${field} ${value}`);
    const as = fields.length > 0 ? ` with ${fields.join(', ')}` : '';
    throw new RondoError(
      'NATS_UNAVAILABLE',
      `NATS refuses stream ${name}${as}: ${cause.message}; check --nats-replicas, and what NATS has of it`,
      { cause },
    );
  }
}

/** Those of `names` that NATS has no stream of. @throws RondoError NATS_UNAVAILABLE */
export async function missingStreams(link: NatsLink, names: readonly string[]): Promise<string[]> {
  const manager = await storeCall(() => link.stores.jetstream.jetstreamManager(false));
  const there = (name: string) =>
    manager.streams.info(name).then(
      () => true,
      (thrown: unknown) => {
        if (isStreamMissing(thrown)) return false;
        throw thrown;
      },
    );
  const found = await storeCall(() => Promise.all(names.map(there)));
  return names.filter((_, index) => !found[index]);
}

/** True when what failed is that a stream is not there. */
export function isStreamMissing(thrown: unknown): boolean {
  const cause = thrown instanceof RondoError ? thrown.cause : thrown;
  return cause instanceof JetStreamApiError && cause.code === JetStreamApiCodes.StreamNotFound;
}

import { RondoError } from '@rondo/core';

/** Runs a call to NATS; whatever it throws that is not of the catalogue becomes NATS_UNAVAILABLE with its cause. */
export async function storeCall<T>(call: () => Promise<T>): Promise<T> {
  try {
    return await call();
  } catch (cause) {
    if (cause instanceof RondoError) throw cause;
    throw new RondoError(
      'NATS_UNAVAILABLE',
      `NATS did not answer as it should: ${(cause as Error).message}`,
      {
        cause,
      },
    );
  }
}

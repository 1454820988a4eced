import { RondoError } from '@rondo/core';

/** How long a call to NATS may take, in milliseconds: some of the client's waits outlive the connection they wait on. */
const CALL_MS = 15_000;

/** Runs a call to NATS; one that takes too long or throws what is not of the catalogue becomes NATS_UNAVAILABLE. */
export async function storeCall<T>(call: () => Promise<T>, withinMs = CALL_MS): Promise<T> {
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(() => late.reject(new Error(`no answer within ${withinMs} ms`)), withinMs);
  try {
    return await Promise.race([call(), late.promise]);
  } catch (cause) {
    if (cause instanceof RondoError) throw cause;
    throw new RondoError(
      'NATS_UNAVAILABLE',
      `NATS did not answer as it should: ${(cause as Error).message}`,
      {
        cause,
      },
    );
  } finally {
    clearTimeout(timer);
  }
}

/** For a call that lasts as long as there is something to send. */
export const WHILE_IT_FLOWS = 2 ** 31 - 1;

/**
 * Runs all sources at once and yields what they give, each source in its own order. A source is asked for its next
 * value only once the last was taken. The first failure ends the merge. When it ends before its sources, `abort` is
 * raised and all of them have ended before it does.
 */
export async function* merge<T>(
  sources: readonly AsyncIterable<T>[],
  abort: AbortController,
): AsyncGenerator<T, void, undefined> {
  const ready: { value: T; taken: () => void }[] = [];
  let wake = Promise.withResolvers<void>();
  let running = sources.length;
  let failure: { error: unknown } | undefined;

  const pump = async (source: AsyncIterable<T>): Promise<void> => {
    try {
      for await (const value of source) {
        const taken = Promise.withResolvers<void>();
        ready.push({ value, taken: taken.resolve });
        wake.resolve();
        await taken.promise;
        if (abort.signal.aborted) break;
      }
    } catch (error) {
      failure ??= { error };
    } finally {
      running--;
      wake.resolve();
    }
  };

  const pumps = sources.map(pump);
  try {
    while (failure === undefined) {
      const next = ready.shift();
      if (next !== undefined) {
        next.taken();
        yield next.value;
      } else if (running === 0) {
        return;
      } else {
        await wake.promise;
        wake = Promise.withResolvers<void>();
      }
    }
    throw failure.error;
  } finally {
    if (running > 0) abort.abort();
    for (const left of ready) left.taken();
    await Promise.all(pumps);
  }
}

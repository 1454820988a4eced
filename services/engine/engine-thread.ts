import { parentPort, workerData } from 'node:worker_threads';
import { RondoError } from '@rondo/core';
import type { StackResult } from './engine.ts';
import { type EngineReply, type EngineRequest, type EngineThreadData, READY_ID } from './engine-protocol.ts';
import { ModelGraphs } from './model-graphs.ts';

const port = parentPort;
if (!port) throw new Error('engine-thread.ts runs as a worker thread only');

const answer = async (id: number, work: () => unknown): Promise<boolean> => {
  try {
    const result = await work();
    port.postMessage({ id, result } satisfies EngineReply, buffersOf(result));
    return true;
  } catch (thrown) {
    const { code, message } = RondoError.from(thrown);
    port.postMessage({ id, error: { code, message, stack: firstStack(thrown) } } satisfies EngineReply);
    return false;
  }
};

/** Where it began: errors around it tell only of who caught it. */
function firstStack(thrown: unknown): string | undefined {
  if (!(thrown instanceof Error)) return undefined;
  return firstStack(thrown.cause) ?? thrown.stack;
}

/** The distinct buffers of a result's typed arrays, and of its head's: moved, not copied, to the other thread. */
function buffersOf(result: unknown): ArrayBuffer[] {
  const { head, ...own } = (result ?? {}) as Partial<StackResult>;
  const arrays = [...Object.values(own), ...Object.values(head ?? {})].filter((value) =>
    ArrayBuffer.isView(value),
  );
  return [...new Set(arrays.map((array) => array.buffer as ArrayBuffer))];
}

const { bundle, options } = workerData as EngineThreadData;
let graphs: ModelGraphs | undefined;
const ready = await answer(READY_ID, () => {
  graphs = ModelGraphs.load(bundle, options);
  graphs.warmUp();
});
if (!ready || !graphs) {
  port.close();
} else {
  const loaded = graphs;
  let last: Promise<unknown> = Promise.resolve();
  port.on('message', (request: EngineRequest) => {
    last = last.then(() => serve(loaded, request));
  });
}

async function serve(loaded: ModelGraphs, request: EngineRequest): Promise<void> {
  switch (request.kind) {
    case 'stack':
      await answer(request.id, () => loaded.runStack(request.batch));
      return;
    case 'head':
      await answer(request.id, () => loaded.runHead(request.batch));
      return;
    case 'propagate':
      await answer(request.id, () => loaded.propagate(request.batch));
      return;
    case 'poison':
      await answer(request.id, () => loaded.poison(request.stack, request.pages));
      return;
    case 'close':
      await answer(request.id, () => loaded.release());
      port?.close();
  }
}

import assert from 'node:assert/strict';
import type { GenerateSpec } from '@rondo/core';
import { generate, startTestWorker, type TestWorker } from './test-cluster.ts';
import { generateAlone, type TestShape } from './test-model.ts';

/** The test workers of one file's tests: started when asked for, ended together. */
export class TestFleet {
  readonly #running = new Set<TestWorker>();

  async start(...args: Parameters<typeof startTestWorker>): Promise<TestWorker> {
    const worker = await startTestWorker(...args);
    this.#running.add(worker);
    return worker;
  }

  /** Ends one before the others. */
  async stop(worker: TestWorker): Promise<void> {
    this.#running.delete(worker);
    await worker.stop();
  }

  async stopAll(): Promise<void> {
    for (const worker of this.#running) await this.stop(worker);
  }
}

/** Ids of a prompt; two of one `salt` begin alike. */
export const promptOf = (length: number, salt = 0): number[] =>
  Array.from({ length }, (_, index) => (index * 7 + salt * 5 + 3) % 32);

/** Runs a sequence, holds what it said against the model run row by row, and tells what it cost. */
export async function agrees(
  worker: TestWorker,
  shape: TestShape,
  spec: GenerateSpec,
): Promise<{ promptPasses: number; generatedPasses: number; cachedTokens: number }> {
  const { promptPasses, generatedPasses, cachedTokens, ...said } = await generate(worker, spec);
  assert.deepEqual(said, generateAlone(shape, spec));
  return { promptPasses, generatedPasses, cachedTokens };
}

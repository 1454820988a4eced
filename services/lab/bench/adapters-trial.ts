import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { type Manifest, openBundle } from '@rondo/bundle';
import { type AdapterMethod, convert, type PreparedWeights } from '@rondo/converter';
import { median } from '../load/quantile.ts';
import { MixedBatch } from './adapters-batch.ts';
import { type RandomCheckpoint, TARGETS } from './adapters-checkpoint.ts';
import type { SuiteContext } from './suite.ts';

export const METHODS: readonly AdapterMethod[] = ['grouped', 'masked', 'gathered', 'integer'];
/** Passes of the block, and so depths in a batch. */
export const DEPTHS = 2;

export interface Trial {
  readonly checkpoint: RandomCheckpoint;
  readonly precision: Manifest['precision'];
  readonly prepared: PreparedWeights;
  readonly rank: number;
  /** Rows of each batch to measure. */
  readonly rowCounts: readonly number[];
  readonly repeats: number;
}

export interface Finding {
  readonly rows: number;
  readonly method: AdapterMethod;
  /** Medians over the repeats. */
  readonly rowsPerSecond: number;
  readonly plainRowsPerSecond: number;
  /** Median over the repeats of 1 − time without adapters / time with them, in percent. */
  readonly loss: number;
}

/** A slice of a repeat takes at least as long, unless one run is longer: short runs need many. */
const SLICE_MS = 60;

/** Measures every method at one rank against no adapters at all, each in an engine of its own, in turns. */
export async function runTrial(context: SuiteContext, trial: Trial): Promise<Finding[]> {
  const { rowCounts, repeats } = trial;
  const parent = join(context.cache, 'bench');
  await mkdir(parent, { recursive: true });
  const directory = await mkdtemp(join(parent, 'adapters-'));
  const batches: MixedBatch[] = [];
  try {
    for (const method of [undefined, ...METHODS]) {
      context.signal.throwIfAborted();
      batches.push(await openBatch(context, trial, method, join(directory, method ?? 'plain')));
    }
    const findings: Finding[] = [];
    for (const rows of rowCounts) {
      const times = batches.map((): number[] => []);
      for (let repeat = 0; repeat < repeats; repeat++) {
        for (let turn = 0; turn < batches.length; turn++) {
          context.signal.throwIfAborted();
          const at = (turn + repeat) % batches.length;
          times[at]!.push(await slice(batches[at]!, rows));
        }
      }
      const [plain, ...adapted] = times as [number[], ...number[][]];
      METHODS.forEach((method, at) => {
        const own = adapted[at]!;
        findings.push({
          rows,
          method,
          rowsPerSecond: (1000 * rows) / median(own),
          plainRowsPerSecond: (1000 * rows) / median(plain),
          loss: 100 * median(own.map((ms, repeat) => 1 - plain[repeat]! / ms)),
        });
      });
    }
    return findings;
  } finally {
    for (const batch of batches) await batch.close();
    await rm(directory, { recursive: true, force: true });
  }
}

async function openBatch(
  { threads }: SuiteContext,
  { checkpoint, precision, prepared, rank, rowCounts }: Trial,
  method: AdapterMethod | undefined,
  out: string,
): Promise<MixedBatch> {
  const loop = { loopLayers: { first: 0, last: checkpoint.model.layers - 1 }, loops: DEPTHS };
  const adapters = method && { targets: TARGETS, method, factorsOf: checkpoint.factorsOf(rank) };
  await convert({ checkpoint, out, precision, prepared, ...loop, adapters });
  return MixedBatch.open(await openBundle(out), Math.max(...rowCounts), threads);
}

/** Milliseconds of one pass: the median of some in a row, after one that warms the caches. */
async function slice(batch: MixedBatch, rows: number): Promise<number> {
  await batch.run(rows);
  const times: number[] = [];
  let total = 0;
  while (total < SLICE_MS) {
    const ms = await batch.run(rows);
    times.push(ms);
    total += ms;
  }
  return median(times);
}

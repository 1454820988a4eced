import { availableParallelism } from 'node:os';
import type { Manifest } from '@rondo/bundle';
import { RondoError } from '@rondo/core';
import {
  type AdapterMethod,
  type AdapterOptions,
  type AdapterTarget,
  adapterMethod,
  PACKED,
} from './adapters-weights.ts';
import type { Checkpoint } from './checkpoint.ts';
import { TiedCheckpoint } from './loop-init.ts';
import { LowRankThreads } from './low-rank-threads.ts';
import type { OnProgress, Precision } from './model-weights.ts';
import { residualFactors } from './residual-factors.ts';

export const LORA_TARGETS: readonly AdapterTarget[] = Object.values(PACKED).flat();

/** Factors of a tied block by decomposition; at least one of `rank` and `energy`. */
export interface LoraOptions {
  /** At most so many for each matrix. */
  readonly rank?: number | undefined;
  /** For each matrix the fewest that keep this share of its residual's squares, in (0, 1]. */
  readonly energy?: number | undefined;
  /** All linears by default. */
  readonly targets?: readonly AdapterTarget[] | undefined;
  /** By default `int8` over an int8 base, else `f32`. */
  readonly precision?: 'f32' | 'int8' | undefined;
  /** Threads that decompose; one for each processor by default. */
  readonly threads?: number | undefined;
}

interface Lora {
  readonly adapters: AdapterOptions;
  close(): Promise<void>;
}

interface LoraContext {
  readonly lora?: LoraOptions | undefined;
  readonly precision: Precision;
  readonly onProgress?: OnProgress | undefined;
}

/** @throws RondoError CONFIG_INVALID for a checkpoint that is not tied, and for a precision that its base does not take. */
export function openLora({ lora, precision, onProgress }: LoraContext, tied: Checkpoint): Lora | undefined {
  if (!lora) return undefined;
  const { rank, energy, targets = LORA_TARGETS } = lora;
  if (!(tied instanceof TiedCheckpoint)) {
    throw new RondoError(
      'CONFIG_INVALID',
      `${rank === undefined ? `--lora-energy ${energy}` : `--lora-rank ${rank}`}: only with --init, whose shared layers lack what the factors give back`,
    );
  }
  if (rank === undefined && energy === undefined) {
    throw new RondoError('CONFIG_INVALID', 'lora: needs --lora-rank or --lora-energy');
  }
  const method = loraMethod(lora.precision, precision);
  const threads = new LowRankThreads(lora.threads ?? availableParallelism());
  return {
    adapters: {
      targets,
      method,
      factorsOf: residualFactors(tied, { rank, energy }, threads),
      onProgress: (done, total) => onProgress?.(done, total, FACTORS),
    },
    close: () => threads.close(),
  };
}

/** What `onProgress` calls the time in which residuals are decomposed. */
export const FACTORS = 'factors';

/** ADR 10: beside weights in f32 the rounding of factors would be the only one. */
function loraMethod(factors: LoraOptions['precision'], base: Manifest['precision']): AdapterMethod {
  if (factors === 'int8' && base === 'f32') {
    throw new RondoError(
      'CONFIG_INVALID',
      `--lora-precision int8: only with --precision int8 or int4, whose own rounding moves logits further; here ${base}`,
    );
  }
  return factors === 'f32' ? 'grouped' : adapterMethod(base);
}

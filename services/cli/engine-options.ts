import { totalmem } from 'node:os';
import { LIMITS } from '@rondo/core';
import { PROVIDERS, type Provider } from '@rondo/engine';
import { type EngineChoice, STEP_POLICIES, type StepPolicy, type WorkerOptions } from '@rondo/worker';
import { type Command, Option } from 'commander';
import { drainOption } from './drain-option.ts';
import { countFromZeroOption, countOption, secondsOption } from './options.ts';

const MIB = 2 ** 20;
/** The pages of one engine lie in one memory of 4 GiB, with some tables beside them. */
const KV_MB_MAX = 3840;

/** What `rondo run` and `rondo worker` let say of each worker. */
export interface EngineFlags {
  readonly kvMb?: number;
  readonly prefixCache: boolean;
  readonly policy: StepPolicy;
  readonly drainSeconds: number;
  readonly hangSeconds: number;
  readonly provider: Provider;
  readonly deviceId?: number;
  readonly allowFallback: boolean;
}

export const addEngineOptions = (command: Command): Command =>
  command
    .option(
      '--kv-mb <n>',
      `memory of a worker for K and V, in MiB (default: an eighth of the machine's memory, at most ${KV_MB_MAX})`,
      countOption('--kv-mb'),
    )
    .option(
      '--no-prefix-cache',
      'compute every prompt anew (default: prompts share K and V of their common beginnings)',
    )
    .addOption(drainOption('what runs may take to end or move', LIMITS.drainMaxMs))
    .option(
      '--hang-seconds <n>',
      `how long one run of the engine may last before this process counts as stuck and ends, at most ${LIMITS.hangMaxMs / 1000}; a thousand usual runs it always may`,
      secondsOption('--hang-seconds', LIMITS.hangMaxMs / 1000, 1),
      LIMITS.hangMs / 1000,
    )
    .addOption(
      new Option(
        '--policy <kind>',
        'depth: rows of any depth share a batch, and late ones go ahead where that shortens the tail; together: none goes ahead, for the most tokens; sequence and static are there to compare with',
      )
        .choices([...STEP_POLICIES])
        .default('depth'),
    )
    .addOption(
      new Option(
        '--provider <name>',
        'what the graphs run on: webgpu keeps K, V and states on the GPU; cuda attends on the CPU; a first pass proves it',
      )
        .choices([...PROVIDERS])
        .default('cpu'),
    )
    .option('--device-id <n>', 'which CUDA device (default: the first)', countFromZeroOption('--device-id'))
    .option('--allow-fallback', 'serve on the CPU where the provider cannot run, instead of failing', false);

export const engineOptions = ({
  kvMb,
  prefixCache,
  policy,
  drainSeconds,
  hangSeconds,
  provider,
  deviceId,
  allowFallback,
}: EngineFlags): Omit<EngineChoice, 'threads'> &
  Pick<WorkerOptions, 'prefixCache' | 'policy' | 'drainMs' | 'hangMs'> => ({
  kvBytes: (kvMb ?? defaultKvMb()) * MIB,
  prefixCache,
  policy,
  drainMs: drainSeconds * 1000,
  hangMs: hangSeconds * 1000,
  provider,
  deviceId,
  allowFallback,
});

/** Pages take real memory only once they are written. */
const defaultKvMb = (): number => Math.min(KV_MB_MAX, Math.floor(totalmem() / 8 / MIB));

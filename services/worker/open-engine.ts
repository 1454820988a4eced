import type { Bundle } from '@rondo/bundle';
import type { Logger } from '@rondo/chassis';
import { RondoError } from '@rondo/core';
import { createEngine, type Engine, type Provider } from '@rondo/engine';

export interface EngineChoice {
  readonly threads: number;
  readonly kvBytes: number;
  /** What the graphs run on; the CPU by default. */
  readonly provider?: Provider | undefined;
  /** Which of several CUDA devices. */
  readonly deviceId?: number | undefined;
  /** Whether the CPU will do where the provider cannot run; else that is an error. */
  readonly allowFallback?: boolean | undefined;
}

/**
 * An engine on the provider asked for, which a first pass has proved.
 * @throws RondoError of `createEngine`.
 */
export async function openEngine(bundle: Bundle, choice: EngineChoice, log: Logger): Promise<Engine> {
  const { threads, kvBytes, provider = 'cpu', deviceId, allowFallback = false } = choice;
  const open = (on: Provider) =>
    createEngine(bundle, { threads, kvBytes, provider: on, ...(on === 'cuda' && { deviceId }) });
  if (provider !== 'cuda' && deviceId !== undefined) {
    throw new RondoError(
      'CONFIG_INVALID',
      `device ${deviceId}: provider ${provider} runs on the device that the system names first; show the process only one GPU, or use --provider cuda`,
    );
  }
  try {
    return await open(provider);
  } catch (error) {
    if (provider === 'cpu' || !allowFallback) throw error;
    log.warn(
      { provider, reason: RondoError.from(error).message },
      'provider cannot run; the CPU takes its place',
    );
    return open('cpu');
  }
}

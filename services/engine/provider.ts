import type { Attention } from './engine.ts';

/** Execution providers of the graph runtime that an engine can ask for. */
export const PROVIDERS = ['cpu', 'webgpu', 'cuda'] as const;
export type Provider = (typeof PROVIDERS)[number];

/**
 * Whether states can stay on the device between runs: on WebGPU, where graphs gather pages themselves. What other providers put
 * out comes back, and attention over pages runs on the host.
 */
export const keepsStates = (provider: Provider, attention: Attention): boolean =>
  provider === 'webgpu' && attention === 'graph';

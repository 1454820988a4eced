export { ApiKeys, type KeyLimits, newApiKey, parseApiKeys } from './api-keys.ts';
export { BATCH_ENDPOINTS, type BatchEndpoint, checkInput, type InputCheck } from './batch-lines.ts';
export { type CoordinatorOptions, type RunningCoordinator, startCoordinator } from './coordinator.ts';
export type { Health } from './health.ts';
export type { NamedBundle } from './model.ts';
export { NatsRoster } from './nats-roster.ts';
export { PLACEMENTS, type Placement } from './placement.ts';
export { openText, TextCodec } from './text.ts';

export { createEngine, type EngineOptions } from './create-engine.ts';
export type {
  Attention,
  Engine,
  EngineDescription,
  HeadBatch,
  HeadResult,
  HeadRows,
  KvCopy,
  PoolSizes,
  PropagateBatch,
  Stack,
  StackBatch,
  StackResult,
  StatePlaces,
} from './engine.ts';
export { PagePool, type Reservation } from './page-pool.ts';
export { pickRows } from './pick-rows.ts';
export { thisProcessor } from './processor.ts';
export { PROVIDERS, type Provider } from './provider.ts';
export {
  type HeadRow,
  logprobOf,
  needsLogits,
  sample,
  type TokenHistory,
  topLogprobs,
} from './sampler.ts';
export {
  type CostModel,
  type LinearCosts,
  linearCosts,
  TimedEngine,
  type TimedEngineOptions,
} from './timed-engine.ts';

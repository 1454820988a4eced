export { createEngine, type EngineOptions } from './create-engine.ts';
export {
  type Attention,
  type Engine,
  type EngineDescription,
  type HeadBatch,
  type HeadRequest,
  type HeadResult,
  type HeadRow,
  type KvCopy,
  type PoolSizes,
  type PropagateBatch,
  STACKS,
  type Stack,
  type StackBatch,
  type StackResult,
  type StatePlaces,
} from './engine.ts';
export { PagePool, type Reservation } from './page-pool.ts';
export { pickRows } from './pick-rows.ts';
export { thisProcessor } from './processor.ts';
export { PROVIDERS, type Provider } from './provider.ts';
export {
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

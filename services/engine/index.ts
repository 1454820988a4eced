export { createEngine, type EngineOptions } from './create-engine.ts';
export type {
  Engine,
  EngineDescription,
  HeadBatch,
  HeadResult,
  KvCopy,
  PoolSizes,
  Stack,
  StackBatch,
  StackResult,
} from './engine.ts';

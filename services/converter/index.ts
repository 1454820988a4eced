export { type Checkpoint, openCheckpoint } from './checkpoint.ts';
export { type ConvertOptions, convert, type PreparedWeights, prepareWeights } from './convert.ts';
export { type LoopOptions, type LoopPlan, planLoop } from './loop-plan.ts';
export { type PullOptions, pull } from './pull.ts';

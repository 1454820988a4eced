export { type ConvertOptions, convert } from './convert.ts';
export { type LoopOptions, type LoopPlan, planLoop } from './loop-plan.ts';

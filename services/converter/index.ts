export {
  type AdapterMatrix,
  type AdapterMethod,
  type AdapterOptions,
  type AdapterTarget,
  adapterMethod,
  cappedRank,
  type Factors,
  targetShape,
} from './adapters-weights.ts';
export { type Checkpoint, type ModelSpec, openCheckpoint } from './checkpoint.ts';
export { type ConvertOptions, convert, type PreparedWeights, prepareWeights } from './convert.ts';
export { type Exported, type ExportOptions, exportBundle } from './export-bundle.ts';
export { type GgufFile, openGgufFile } from './gguf.ts';
export { Graph, ORT, type Value, type WeightRef } from './graph.ts';
export { TiedCheckpoint } from './loop-init.ts';
export { type LoopOptions, type LoopPlan, planLoop, sourceLayer } from './loop-plan.ts';
export { FACTORS, LORA_TARGETS, type LoraOptions } from './lora.ts';
export { type LowRank, type RankWish, truncatedSvd } from './low-rank.ts';
export { LowRankThreads } from './low-rank-threads.ts';
export { parametersOf, type Size, type SizeReport } from './model-size.ts';
export { type PullOptions, pull } from './pull.ts';
export { QUANTIZATION_BLOCK, quantize } from './quantize.ts';
export { residualFactors } from './residual-factors.ts';
export { INIT_NORMS, type InitNorms, LOOP_INITS, type LoopInit } from './tied-layers.ts';
export { WeightsFile } from './weights-file.ts';

export {
  type BundlePerplexityOptions,
  bundlePerplexity,
  bundleTokens,
  type LoopCandidate,
  loopCandidates,
  type ScanGrid,
} from './loop-scan.ts';
export { logProbability, meanNegativeLogLikelihood, type PerplexityOptions } from './perplexity.ts';
export { SerialModel, type SerialOptions } from './serial-model.ts';

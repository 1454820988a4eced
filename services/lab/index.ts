export { logProbability, meanNegativeLogLikelihood, type PerplexityOptions } from './perplexity.ts';
export { SerialModel, type SerialOptions } from './serial-model.ts';

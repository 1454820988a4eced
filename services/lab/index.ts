export { type BenchBundleOptions, benchBundle, benchCheckpoint } from './bench/bench-bundle.ts';
export { checkDocuments, writeDocuments } from './bench/documents.ts';
export { EngineLoop, type EngineLoopOptions, type LoopTimes } from './bench/engine-loop.ts';
export { type BenchReport, reportText, runSuite } from './bench/report.ts';
export { type ProcessEnd, RondoProcess, type RondoProcessOptions } from './bench/rondo-process.ts';
export {
  atLeast,
  atMost,
  type Cell,
  type ChaosChoice,
  type Goal,
  isWhole,
  type Plot,
  type Row,
  type Suite,
  type SuiteContext,
  type SuiteResult,
} from './bench/suite.ts';
export { SUITES } from './bench/suites.ts';
export { bundleOrConverted } from './eval/converted-bundle.ts';
export { type Evaluation, type EvaluationOptions, evaluate, type Variant } from './eval/evaluation.ts';
export { type AskedExactly, type ExactCell, exactMatch, longestQuestion } from './eval/exact-match.ts';
export { type ExactQuestion, readExactQuestions } from './eval/exact-questions.ts';
export { type ExactScore, exactScore, exactText } from './eval/exact-report.ts';
export { LIVE_POLICIES, type LivePolicy, livePolicies } from './eval/exit-thresholds.ts';
export {
  DEFAULT_TOLERANCES,
  type Judgement,
  judge,
  parseBaseline,
  parseTolerances,
  refuseOtherSuite,
  refuseUnjudged,
  type Tolerances,
} from './eval/gate.ts';
export type { Head } from './eval/head.ts';
export { htmlPage } from './eval/html-page.ts';
export { digits, type EvalReport, evalReport, evalText, speedNotes } from './eval/report.ts';
export { Sequences } from './eval/sequences.ts';
export { type EvalSuite, openSuite } from './eval/suite.ts';
export { type ClosedLoopOptions, closedLoop } from './load/closed-loop.ts';
export { LoadClient, type LoadClientOptions } from './load/load-client.ts';
export { type LoadSummary, summarize } from './load/load-summary.ts';
export { type OpenLoopOptions, openLoop } from './load/open-loop.ts';
export { RandomStream } from './load/random-stream.ts';
export type { RequestRecord } from './load/request-record.ts';
export { Scrape } from './load/scrape.ts';
export { type LoadRequest, Workload, type WorkloadOptions } from './load/workload.ts';
export {
  type BundlePerplexityOptions,
  bundlePerplexity,
  bundleTokens,
  checkpointTokens,
  type LoopCandidate,
  loopCandidates,
  type ScanGrid,
} from './loop-scan.ts';
export { logProbability, meanNegativeLogLikelihood, type PerplexityOptions } from './perplexity.ts';
export { SerialModel, type SerialOptions } from './serial-model.ts';

export { type Clock, ManualClock, systemClock } from './clock.ts';
export { concatenated } from './concatenated.ts';
export { contains, type DepthRange, passesIn, splitDepths } from './depth.ts';
export { ERRORS, type ErrorCode, type ErrorOptions, isErrorCode, RondoError } from './errors.ts';
export {
  decideExit,
  type ExitPolicy,
  type ExitRule,
  type ExitSignal,
  type KvPolicy,
  mayExitEarly,
  mustStayHomed,
  survive,
  THRESHOLD_RANGES,
} from './exit-rule.ts';
export type {
  EmittedToken,
  FinishedEvent,
  FinishReason,
  GenerateEvent,
  GenerateSpec,
  PromptLogprobsEvent,
  TokenEvent,
} from './generation.ts';
export { type Address, address, type SequenceId, sequenceId, type WorkerId, workerId } from './ids.ts';
export { LIMITS } from './limits.ts';
export { isHomed, type Route, type Stage, stageAt, type WorkerRef } from './route.ts';
export type { RunPhase, RunRecord, RunsEvent } from './run-record.ts';
export type { SamplingParams, TokenLogprob } from './sampling.ts';
export { runParts, stepParts } from './span-names.ts';
export type { TlsIdentity, TlsMaterial } from './tls-identity.ts';

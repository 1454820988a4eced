export { Announcer } from './announcer.ts';
export type { EngineChoice } from './open-engine.ts';
export { STEP_POLICIES, type StepPolicy } from './step-policy.ts';
export { type RunningWorker, serveEngine, startWorker, type WorkerOptions } from './worker.ts';

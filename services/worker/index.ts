export { Announcer } from './announcer.ts';
export type { EngineChoice } from './open-engine.ts';
export type { RunningWorker } from './running-worker.ts';
export { STEP_POLICIES, type StepPolicy } from './step-policy.ts';
export { serveEngine, startWorker } from './worker.ts';
export type { WorkerOptions } from './worker-options.ts';

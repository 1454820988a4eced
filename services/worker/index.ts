export { type RunningWorker, serveEngine, startWorker, type WorkerOptions } from './worker.ts';

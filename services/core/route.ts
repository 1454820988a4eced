import { contains, type DepthRange } from './depth.ts';
import type { Address, WorkerId } from './ids.ts';

export interface WorkerRef {
  readonly id: WorkerId;
  readonly address: Address;
}

/** A contiguous range of depths that one worker executes for a sequence. */
export interface Stage {
  readonly worker: WorkerRef;
  readonly depths: DepthRange;
}

/** Who owns a sequence and who runs which of its passes. Stages are in depth order and cover 0…maxDepth. */
export interface Route {
  readonly epoch: number;
  readonly home: WorkerRef;
  readonly stages: readonly Stage[];
}

/** True when every pass runs on the home worker, so that no row ever leaves it. */
export const isHomed = (route: Route): boolean =>
  route.stages.every((stage) => stage.worker.id === route.home.id);

/** The stage that runs `depth`, or undefined once `depth` lies behind the last stage. */
export const stageAt = (route: Route, depth: number): Stage | undefined =>
  route.stages.find((stage) => contains(stage.depths, depth));

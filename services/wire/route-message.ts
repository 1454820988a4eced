import { type Route, type WorkerRef, workerId } from '@rondo/core';
import { addressField, malformed, nonEmpty, present, uint32 } from './fields.ts';
import type * as pb from './proto-types.ts';

const workerToProto = (worker: WorkerRef): pb.WorkerRef => ({ workerId: worker.id, address: worker.address });

function workerFromProto(message: pb.WorkerRef | null | undefined, field: string): WorkerRef {
  const worker = present(message, 'Route', field);
  return {
    id: workerId(nonEmpty(worker.workerId, 'WorkerRef', 'worker_id')),
    address: addressField(worker.address, 'WorkerRef', 'address'),
  };
}

export const routeToProto = (route: Route): pb.Route => ({
  epoch: uint32(route.epoch, 'route.epoch'),
  home: workerToProto(route.home),
  stages: route.stages.map((stage) => ({
    worker: workerToProto(stage.worker),
    firstDepth: uint32(stage.depths.first, 'stage.depths.first'),
    endDepth: uint32(stage.depths.end, 'stage.depths.end'),
  })),
});

/** Throws PROTOCOL_MISMATCH unless the stages start at depth 0 and leave no gap. */
export function routeFromProto(message: pb.Route | null | undefined, parent: string): Route {
  const route = present(message, parent, 'route');
  let reached = 0;
  const stages = route.stages.map((stage) => {
    if (stage.firstDepth !== reached || stage.endDepth <= stage.firstDepth) {
      throw malformed(
        'Route',
        `stage of depths ${stage.firstDepth} to ${stage.endDepth} where ${reached} is next`,
      );
    }
    reached = stage.endDepth;
    return {
      worker: workerFromProto(stage.worker, 'stage.worker'),
      depths: { first: stage.firstDepth, end: stage.endDepth },
    };
  });
  if (stages.length === 0) throw malformed('Route', 'it has no stage');
  return { epoch: route.epoch, home: workerFromProto(route.home, 'home'), stages };
}

import { type RunPhase, type RunRecord, type RunsEvent, type WorkerId, workerId } from '@rondo/core';
import { enumField, malformed, nonEmpty, uint32 } from './fields.ts';
import * as pb from './proto-types.ts';

const runPhase = enumField<RunPhase>('RunPhase', {
  prelude: pb.RunPhase.RUN_PHASE_PRELUDE,
  block: pb.RunPhase.RUN_PHASE_BLOCK,
  coda: pb.RunPhase.RUN_PHASE_CODA,
  head: pb.RunPhase.RUN_PHASE_HEAD,
});

/** Runs and how many of them were too many, in columns: a run costs about 60 bytes. */
export type ToldRuns = Pick<RunsEvent, 'runs' | 'dropped'>;

export function runsToProto({ runs, dropped }: ToldRuns): pb.Runs {
  const workers = [...new Set(runs.map(({ worker }) => worker))];
  const column = (of: (run: RunRecord) => number, name: string) => runs.map((run) => uint32(of(run), name));
  return {
    phase: runs.map(({ phase }) => runPhase.encode(phase)),
    start: column(({ start }) => start, 'start'),
    rows: column(({ rows }) => rows, 'rows'),
    depth: column(({ depth }) => depth, 'depth'),
    worker: runs.map(({ worker }) => workers.indexOf(worker)),
    step: column(({ step }) => step, 'step'),
    stepRows: column(({ stepRows }) => stepRows, 'stepRows'),
    stepDepths: runs.map(({ stepDepths }) => stepDepths.length),
    stepDepth: runs.flatMap(({ stepDepths }) => [...stepDepths]),
    readyMs: runs.map(({ readyMs }) => readyMs),
    waitMs: runs.map(({ waitMs }) => waitMs),
    runMs: runs.map(({ runMs }) => runMs),
    signal: runs.map(({ signal }) => signal ?? Number.NaN),
    exited: runs.map(({ exited }) => exited),
    workerId: workers,
    dropped: uint32(dropped, 'dropped'),
  };
}

/** @throws RondoError PROTOCOL_MISMATCH when the sizes in it disagree */
export function runsFromProto(message: pb.Runs): ToldRuns {
  const { phase, start, rows, depth, worker, step, stepRows, stepDepths, readyMs, waitMs, runMs } = message;
  const { signal, exited } = message;
  const columns = [start, rows, depth, worker, step, stepRows, stepDepths, readyMs, waitMs, runMs];
  const count = phase.length;
  if ([...columns, signal, exited].some((column) => column.length !== count))
    throw malformed('Runs', `its arrays differ in length (${count} phases)`);
  const workers = message.workerId.map((id) => workerId(nonEmpty(id, 'Runs', 'worker_id')));
  if (stepDepths.reduce((sum, depths) => sum + depths, 0) !== message.stepDepth.length)
    throw malformed('Runs', 'step_depth is not as long as step_depths say');
  let taken = 0;
  const runs = phase.map((number, index): RunRecord => {
    const first = taken;
    taken += stepDepths[index]!;
    return {
      phase: runPhase.decode(number),
      start: start[index]!,
      rows: rows[index]!,
      depth: depth[index]!,
      worker: namedBy(workers, worker[index]!),
      step: step[index]!,
      stepRows: stepRows[index]!,
      stepDepths: message.stepDepth.slice(first, taken),
      readyMs: readyMs[index]!,
      waitMs: waitMs[index]!,
      runMs: runMs[index]!,
      ...(!Number.isNaN(signal[index]) && { signal: signal[index]! }),
      exited: exited[index]!,
    };
  });
  return { runs, dropped: message.dropped };
}

function namedBy(workers: readonly WorkerId[], index: number): WorkerId {
  const id = workers[index];
  if (id === undefined) throw malformed('Runs', `worker ${index} of ${workers.length}`);
  return id;
}

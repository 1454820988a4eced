import type { RunRecord } from './run-record.ts';

/**
 * What names the span of a step, and the span of one run of a request in it: the coordinator makes the one, the worker the other, and
 * each links to both without a word between them.
 */
export const stepParts = ({ worker, step }: Pick<RunRecord, 'worker' | 'step'>): (string | number)[] => [
  'step',
  worker,
  step,
];

export const runParts = (
  traceId: string,
  { worker, step, phase, depth, start }: Pick<RunRecord, 'worker' | 'step' | 'phase' | 'depth' | 'start'>,
): (string | number)[] => [traceId, worker, step, phase, depth, start];

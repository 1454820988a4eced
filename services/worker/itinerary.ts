import { type Address, decideExit, type Route, stageAt, type WorkerRef } from '@rondo/core';
import type { Stack } from '@rondo/engine';
import { type Chunk, liveRows, type Phase } from './chunk.ts';

export interface Whereabouts {
  /** This worker's id. */
  readonly self: string;
  readonly maxDepth: number;
  readonly codaLayers: number;
}

export type Stop =
  | { readonly at: 'here'; readonly phase: Phase }
  | { readonly at: 'peer'; readonly worker: WorkerRef };

/** Where rows go that are in the loop with `passes` passes behind them: another pass, or home to coda and head. */
export function stopInLoop(where: Whereabouts, route: Route, passes: number, exited: boolean): Stop {
  const stage = exited || passes >= where.maxDepth ? undefined : stageAt(route, passes);
  if (stage)
    return stage.worker.id === where.self
      ? { at: 'here', phase: 'block' }
      : { at: 'peer', worker: stage.worker };
  if (route.home.id !== where.self) return { at: 'peer', worker: route.home };
  return { at: 'here', phase: where.codaLayers > 0 ? 'coda' : 'head' };
}

/** Whether a chunk, before its next run, is known to have nothing but the head left behind it, and that here. */
export function leavesNext({ maxDepth, codaLayers }: Whereabouts, chunk: Chunk): boolean {
  const { tenant, phase, survival } = chunk;
  if (tenant.kind !== 'home' || chunk.owed === chunk.rows || phase === 'prelude' || phase === 'head')
    return false;
  if (phase === 'coda') return true;
  if (codaLayers > 0) return false;
  const passes = chunk.passes + 1;
  if (passes >= maxDepth) return true;
  const live = { ...chunk, ...liveRows(chunk) };
  const rule = tenant.exitRule(live);
  // A rule that needs no signal to let a row go lets it go whatever the signals of its next pass say.
  return (
    rule !== undefined && decideExit(rule, passes, { survival, row: tenant.generatedRow(live) }) === 'exit'
  );
}

/**
 * Whether the rows of a chunk, before its run through `stack`, are known to run here next if they run at all: an exit may send
 * them elsewhere, and what they leave behind.
 */
export function staysHere(where: Whereabouts, stack: Stack, chunk: Chunk): boolean {
  const { tenant } = chunk;
  const { stages } = tenant.route;
  if (stack === 'coda' || stages.every(({ worker }) => worker.id === where.self)) return true;
  const passes = stack === 'prelude' ? 0 : chunk.passes + 1;
  if (stopInLoop(where, tenant.route, passes, false).at === 'peer') return false;
  const rule = stack === 'block' && tenant.exitRule({ ...chunk, ...liveRows(chunk) });
  return !rule || (rule.policy === 'none' && rule.maxDepth >= where.maxDepth);
}

/** Depths of a route whose passes run on worker `self`. */
export const depthsOf = (route: Route, self: string): number[] =>
  route.stages
    .filter((stage) => stage.worker.id === self)
    .flatMap(({ depths }) =>
      Array.from({ length: depths.end - depths.first }, (_, index) => depths.first + index),
    );

/** The other workers that run passes of this route, each once. */
export function otherStageWorkers(route: Route, self: string): WorkerRef[] {
  const others = route.stages.map((stage) => stage.worker).filter((worker) => worker.id !== self);
  return [...new Map(others.map((worker) => [worker.id, worker])).values()];
}

/** Addresses that worker `self` sends to for this route: the home opens all its stages, a stage passes rows on or home. */
export function nextWorkers(route: Route, self: string): Address[] {
  if (route.home.id === self) return otherStageWorkers(route, self).map((worker) => worker.address);
  return route.stages
    .filter((stage) => stage.worker.id === self)
    .flatMap((stage) => [stageAt(route, stage.depths.end)?.worker ?? route.home, route.home])
    .map((worker) => worker.address);
}

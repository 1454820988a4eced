import { type GenerateSpec, LIMITS, RondoError } from '@rondo/core';
import type { GenerateStreamEvent, Load, WorkerDescription, WorkerHandlers } from '@rondo/wire';
import type { FrontDoor } from './front-door.ts';
import type { Heartbeat } from './heartbeat.ts';
import type { KvPools } from './kv-pools.ts';
import { pagesPerPosition } from './residency.ts';
import type { StageHost } from './stage-host.ts';
import type { Tenants } from './tenants.ts';

export interface ServerOptions {
  readonly about: Omit<WorkerDescription, 'load'>;
  readonly load: () => Load;
  readonly heartbeat: Heartbeat;
  readonly frontDoor: FrontDoor;
  readonly stageHost: StageHost;
  /** Set once the engine is broken: nothing is taken in any more. */
  readonly broken: () => RondoError | undefined;
  /** It is about to leave: nothing is taken in any more, what runs goes on. */
  readonly draining: () => boolean;
  /** A sequence that lived here ended with an error. */
  sequenceFailed(spec: GenerateSpec, error: RondoError): void;
}

/** What the network may ask of this worker. */
export function workerHandlers(options: ServerOptions): WorkerHandlers {
  const refuseWhenBroken = (): void => {
    const error = options.broken();
    if (error) throw new RondoError('WORKER_LOST', `this worker's engine is broken: ${error.message}`);
  };
  return {
    describe: () => ({ ...options.about, load: options.load() }),

    watch: (signal) => options.heartbeat.pulses(signal),

    async *generate(spec, signal): AsyncGenerator<GenerateStreamEvent> {
      try {
        refuseWhenBroken();
        if (options.draining()) {
          throw new RondoError('NO_WORKER', `worker ${options.about.workerId} is about to leave`);
        }
        const home = await options.frontDoor.open(spec, signal);
        try {
          yield { type: 'opened', epoch: spec.route.epoch, cachedTokens: home.residency.cachedPositions };
          home.start();
          yield* home.events;
        } finally {
          home.close();
        }
      } catch (thrown) {
        const error = RondoError.from(thrown);
        if (!signal.aborted) options.sequenceFailed(spec, error);
        throw error;
      }
    },

    async passes(hello, frames, reply) {
      refuseWhenBroken();
      await options.stageHost.serve(hello, frames, reply);
    },
  };
}

/** How full a worker is, in positions of sequences that run all of their passes here. */
export function loadOf(
  tenants: Tenants,
  pools: KvPools,
  layers: { prelude: number; coda: number },
  maxDepth: number,
  { stepMs, hopMs }: Pick<Load, 'stepMs' | 'hopMs'>,
): Load {
  const depths = Array.from({ length: maxDepth }, (_, depth) => depth);
  const perPosition = pagesPerPosition({ depths, preludeLayers: layers.prelude, codaLayers: layers.coda });
  return {
    sequences: tenants.count,
    sequencesMax: LIMITS.sequencesMax,
    freePositions: pools.positions('free', perPosition),
    totalPositions: pools.positions('capacity', perPosition),
    stepMs,
    hopMs,
  };
}

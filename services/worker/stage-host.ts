import { RondoError } from '@rondo/core';
import type { Activations, Hello, MicrobatchChunk, PassesFrame, PassesReply } from '@rondo/wire';
import { Arrivals } from './arrivals.ts';
import { rowsOf } from './batch.ts';
import { HostedStage } from './hosted-stage.ts';
import { depthsOf } from './itinerary.ts';
import type { KvPools } from './kv-pools.ts';
import { Residency } from './residency.ts';
import { RowLedger } from './row-ledger.ts';
import type { Tenant } from './tenant.ts';
import type { Tenants } from './tenants.ts';

export interface StageHostOptions {
  readonly self: string;
  readonly bundleDigest: string;
  readonly activations: Activations;
  readonly context: number;
  readonly tenants: Tenants;
  readonly pools: KvPools;
  /** It is about to leave: no stage is opened any more, those that are open go on. */
  readonly draining: () => boolean;
  /** Whether the inbox has room for more rows of others. */
  room(): boolean;
  arrive(tenant: Tenant, chunk: MicrobatchChunk): void;
  closed(stage: HostedStage): void;
  /** A stage was not opened. */
  refused(error: RondoError): void;
  /** Rows of a sequence or epoch that is not here (any more). */
  stale(chunk: MicrobatchChunk): void;
}

type Reply = (reply: PassesReply) => void;
type OpenStage = Extract<PassesFrame, { type: 'open-stage' }>;

/** The receiving end of other workers' links: opens stages for their sequences and takes in their rows. */
export class StageHost {
  readonly #options: StageHostOptions;
  readonly #ledgers = new Set<RowLedger>();

  constructor(options: StageHostOptions) {
    this.#options = options;
  }

  /**
   * Serves one peer's stream until it ends; then the stages opened on it are closed: their home is gone.
   * @throws RondoError BUNDLE_MISMATCH when the peer runs another model, PROTOCOL_MISMATCH when it sends its states in another
   * precision or more rows than were granted.
   */
  async serve(hello: Hello, frames: AsyncIterable<PassesFrame>, reply: Reply): Promise<void> {
    if (hello.bundleDigest !== this.#options.bundleDigest) {
      throw new RondoError(
        'BUNDLE_MISMATCH',
        `worker ${hello.workerId} runs bundle ${hello.bundleDigest}, worker ${this.#options.self} runs ${this.#options.bundleDigest}`,
      );
    }
    if (hello.activations !== this.#options.activations) {
      throw new RondoError(
        'PROTOCOL_MISMATCH',
        `worker ${hello.workerId} sends its states as ${hello.activations}, worker ${this.#options.self} as ${this.#options.activations}: start both with the same --activations`,
      );
    }
    const stages = new Set<HostedStage>();
    const ledger = new RowLedger(hello.workerId, (rows) => reply({ type: 'credit', rows }));
    const arrivals = new Arrivals();
    this.#ledgers.add(ledger);
    try {
      for await (const frame of frames) {
        if (frame.type === 'open-stage') this.#open(frame, stages, reply);
        else if (frame.type === 'close-stage') this.#close(frame.sequenceId, frame.epoch, stages);
        else if (frame.type === 'ping') reply({ type: 'pong' });
        else {
          ledger.arrived(rowsOf(frame.chunks));
          for (const chunk of frame.chunks) this.#arrive(chunk, arrivals);
          if (frame.ping) reply({ type: 'pong' });
          if (this.#options.room()) ledger.renew();
        }
      }
    } finally {
      this.#ledgers.delete(ledger);
      for (const stage of [...stages]) stage.close();
    }
  }

  /** The inbox may have room again for what its links hold back. */
  roomAgain(): void {
    if (!this.#options.room()) return;
    for (const ledger of this.#ledgers) ledger.renew();
  }

  #open(frame: OpenStage, stages: Set<HostedStage>, reply: Reply): void {
    const { sequenceId, route } = frame;
    const { epoch } = route;
    try {
      const residency = this.#reserve(frame);
      const stage = new HostedStage(frame, residency, {
        failed: (error) => reply({ type: 'stage-failed', sequenceId, epoch, error }),
        closed: (ended) => {
          stages.delete(ended);
          this.#options.closed(ended);
        },
      });
      stages.add(stage);
      this.#options.tenants.add(stage);
      reply({ type: 'stage-opened', sequenceId, epoch });
    } catch (thrown) {
      const error = RondoError.from(thrown);
      this.#options.refused(error);
      reply({ type: 'stage-failed', sequenceId, epoch, error });
    }
  }

  #reserve({ sequenceId, route, positions }: OpenStage): Residency {
    const { self, context, tenants, pools } = this.#options;
    if (this.#options.draining()) throw new RondoError('NO_WORKER', `worker ${self} is about to leave`);
    const depths = depthsOf(route, self);
    if (depths.length === 0 || route.home.id === self) {
      throw new RondoError(
        'WORKER_LOST',
        `worker ${self} runs no stage of sequence ${sequenceId} for another home`,
      );
    }
    if (positions < 1 || positions > context) {
      throw new RondoError(
        'INVALID_REQUEST',
        `a stage of ${positions} positions, the context has ${context}`,
      );
    }
    const need = { positions, depths, preludeLayers: 0, codaLayers: 0 };
    tenants.admit(sequenceId, route, (leaving) => Residency.fits(pools, need, leaving));
    const residency = Residency.open(pools, need);
    if (residency) return residency;
    throw new RondoError(
      'KV_EXHAUSTED',
      `worker ${self} has no pages left for ${positions} positions at ${depths.length} depths`,
    );
  }

  #close(sequenceId: HostedStage['sequenceId'], epoch: number, stages: Set<HostedStage>): void {
    const tenant = this.#options.tenants.find(sequenceId, epoch);
    if (tenant?.kind === 'stage' && stages.has(tenant)) tenant.close();
  }

  #arrive(part: MicrobatchChunk, arrivals: Arrivals): void {
    const tenant = this.#options.tenants.find(part.sequenceId, part.epoch);
    if (!tenant) {
      this.#options.stale(part);
      return;
    }
    try {
      const chunk = arrivals.join(tenant, part);
      if (chunk) this.#options.arrive(tenant, chunk);
    } catch (thrown) {
      tenant.fail(RondoError.from(thrown));
    }
  }
}

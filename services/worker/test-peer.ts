import {
  type Address,
  address,
  type DepthRange,
  type Route,
  type SequenceId,
  type WorkerRef,
  workerId,
} from '@rondo/core';
import { connectWorker, type MicrobatchChunk, type PassesReply, PROTOCOL_REVISION } from '@rondo/wire';
import { type TestWorker, testSpec } from './test-cluster.ts';
import { HIDDEN } from './test-model.ts';

/** Where nobody listens. */
const NOWHERE: Address = address('127.0.0.1:1');

/** A worker that is home to sequences whose passes all run on another, and sends that what the test says. */
export class TestPeer {
  readonly #worker: TestWorker;
  readonly #home: WorkerRef;
  readonly #depths: DepthRange;
  readonly #client;
  readonly #link;
  readonly #replies: AsyncIterator<PassesReply>;

  /** `home`: where rows come back to; by default nowhere. */
  constructor(
    worker: TestWorker,
    maxDepth: number,
    home: WorkerRef = { id: workerId('elsewhere'), address: NOWHERE },
  ) {
    this.#worker = worker;
    this.#home = home;
    this.#depths = { first: 0, end: maxDepth };
    this.#client = connectWorker(worker.running.address);
    this.#link = this.#client.openPasses({
      protocolRevision: PROTOCOL_REVISION,
      bundleDigest: 'd'.repeat(64),
      workerId: home.id,
      activations: 'f32',
    });
    this.#replies = this.#link.events[Symbol.asyncIterator]();
  }

  /** What the worker says next. */
  async reply(): Promise<PassesReply | undefined> {
    return (await this.#replies.next()).value;
  }

  /** Asks for a stage of all depths for a prompt of three rows, of a new sequence or of one more epoch of `sequenceId`. */
  async opens({
    sequenceId,
    epoch = 1,
    promptStates = true,
  }: {
    readonly sequenceId?: SequenceId;
    readonly epoch?: number;
    readonly promptStates?: boolean;
  } = {}): Promise<SequenceId> {
    const route: Route = {
      epoch,
      home: this.#home,
      stages: [{ worker: this.#worker.ref, depths: this.#depths }],
    };
    const { sequenceId: another, exit } = testSpec(route);
    const id = sequenceId ?? another;
    const terms = { promptRows: 3, promptStates, background: false };
    await this.#link.send({ type: 'open-stage', sequenceId: id, route, positions: 16, exit, ...terms });
    return id;
  }

  /** Sends rows of zeros, one each by default, that have run no pass. */
  sends(
    ...chunks: readonly (Pick<MicrobatchChunk, 'sequenceId'> & Partial<MicrobatchChunk>)[]
  ): Promise<void> {
    const plain = { epoch: 1, kind: 'live', depth: 0, start: 0, rows: 1, rest: 0, survival: 1 } as const;
    const whole = chunks.map((chunk) => {
      const state = new Float32Array((chunk.rows ?? plain.rows) * HIDDEN);
      return { ...plain, state, ...chunk };
    });
    return this.#link.send({ type: 'microbatch', chunks: whole });
  }

  /** No more comes from it; the worker finishes what it has. */
  leaves(): void {
    this.#link.close();
  }

  close(): void {
    this.#client.close();
  }
}

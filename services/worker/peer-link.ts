import { type Address, RondoError, type Route, type SequenceId, type TlsIdentity } from '@rondo/core';
import {
  connectWorker,
  type Hello,
  type MicrobatchChunk,
  type PassesFrame,
  type PassesLink,
  rowsPerFrame,
  type WorkerClient,
} from '@rondo/wire';

export interface PeerLinkWays {
  /** The peer cannot go on with one sequence. */
  stageFailed(sequenceId: SequenceId, epoch: number, error: RondoError): void;
  /** The link is gone, and with it whatever was under way on it. Called once. */
  lost(address: Address, error: RondoError): void;
}

interface Opening {
  resolve(): void;
  reject(error: RondoError): void;
}

/** The sending end of the one Passes stream to another worker; all sequences share it, frames leave in order. */
export class PeerLink {
  readonly #address: Address;
  readonly #ways: PeerLinkWays;
  readonly #client: WorkerClient;
  readonly #link: PassesLink;
  readonly #frames: PassesFrame[] = [];
  readonly #openings = new Map<string, Opening>();
  #sending = false;
  #ended = false;

  constructor(address: Address, hello: Hello, ways: PeerLinkWays, tls?: TlsIdentity) {
    this.#address = address;
    this.#ways = ways;
    this.#client = connectWorker(address, tls);
    this.#link = this.#client.openPasses(hello);
    void this.#listen();
  }

  /** Resolves once the peer has reserved its pages. @throws RondoError the peer's refusal, or WORKER_LOST. */
  openStage(sequenceId: SequenceId, route: Route, positions: number): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#openings.set(openingName(sequenceId, route.epoch), { resolve, reject });
      this.#send({ type: 'open-stage', sequenceId, route, positions });
    });
  }

  /** The peer frees the stage's pages; an opening still waiting is called off. */
  closeStage(sequenceId: SequenceId, epoch: number): void {
    this.#settle(sequenceId, epoch)?.reject(new RondoError('CANCELLED', `sequence ${sequenceId} was closed`));
    this.#send({ type: 'close-stage', sequenceId, epoch });
  }

  send(chunks: readonly MicrobatchChunk[]): void {
    for (const frame of packFrames(chunks)) this.#send({ type: 'microbatch', chunks: frame });
  }

  close(): void {
    this.#end(new RondoError('CANCELLED', 'this worker stops'));
  }

  #send(frame: PassesFrame): void {
    if (this.#ended) return;
    this.#frames.push(frame);
    if (!this.#sending) void this.#pump();
  }

  async #pump(): Promise<void> {
    this.#sending = true;
    try {
      for (let frame = this.#frames.shift(); frame; frame = this.#frames.shift())
        await this.#link.send(frame);
    } catch (thrown) {
      this.#lose(thrown);
    } finally {
      this.#sending = false;
    }
  }

  async #listen(): Promise<void> {
    try {
      for await (const reply of this.#link.events) {
        const opening = this.#settle(reply.sequenceId, reply.epoch);
        if (reply.type === 'stage-opened') opening?.resolve();
        else if (opening) opening.reject(reply.error);
        else this.#ways.stageFailed(reply.sequenceId, reply.epoch, reply.error);
      }
      this.#lose(new Error('the stream ended'));
    } catch (thrown) {
      this.#lose(thrown);
    }
  }

  #lose(thrown: unknown): void {
    if (this.#ended) return;
    const error = lossOf(this.#address, thrown);
    this.#end(error);
    this.#ways.lost(this.#address, error);
  }

  #end(error: RondoError): void {
    this.#ended = true;
    this.#frames.length = 0;
    for (const opening of this.#openings.values()) opening.reject(error);
    this.#openings.clear();
    this.#link.close();
    this.#client.close();
  }

  #settle(sequenceId: SequenceId, epoch: number): Opening | undefined {
    const name = openingName(sequenceId, epoch);
    const opening = this.#openings.get(name);
    this.#openings.delete(name);
    return opening;
  }
}

const openingName = (sequenceId: SequenceId, epoch: number): string => `${epoch} ${sequenceId}`;

/** What a sequence is told: a peer's refusal in its own words, anything else as the loss of that worker. */
function lossOf(address: Address, thrown: unknown): RondoError {
  const refusals = ['BUNDLE_MISMATCH', 'PROTOCOL_MISMATCH', 'WORKER_LOST'];
  if (thrown instanceof RondoError && refusals.includes(thrown.code)) return thrown;
  const reason = thrown instanceof Error ? thrown.message : String(thrown);
  return new RondoError('WORKER_LOST', `lost worker ${address}: ${reason}`, { cause: thrown });
}

/** Chunks in order, as many to a frame as fit its size. */
export function packFrames(chunks: readonly MicrobatchChunk[]): MicrobatchChunk[][] {
  const frames: MicrobatchChunk[][] = [];
  let rows = 0;
  for (const chunk of chunks) {
    const frame = frames.at(-1);
    if (frame && rows + chunk.rows <= rowsPerFrame(chunk.state.length / chunk.rows)) {
      frame.push(chunk);
      rows += chunk.rows;
    } else {
      frames.push([chunk]);
      rows = chunk.rows;
    }
  }
  return frames;
}

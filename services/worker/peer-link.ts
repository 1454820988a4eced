import { setImmediate } from 'node:timers/promises';
import { type Address, RondoError, type SequenceId, type TlsIdentity } from '@rondo/core';
import {
  type Activations,
  bytesPerFloat,
  connectWorker,
  type Hello,
  type PassesFrame,
  type PassesLink,
  Silence,
  type WorkerClient,
} from '@rondo/wire';
import { rowsOf } from './batch.ts';
import type { StageTerms } from './hosted-stage.ts';
import { Outbox, type OutgoingChunk } from './outbox.ts';

export interface PeerLinkHooks {
  /** The peer cannot go on with one sequence. */
  stageFailed(sequenceId: SequenceId, epoch: number, error: RondoError): void;
  /** The link is gone, and with it whatever was under way on it. Called once. */
  lost(address: Address, error: RondoError): void;
  /** A frame of so many rows and bytes of states has left. */
  sent(rows: number, bytes: number): void;
  /** A word went to the peer and back in so many milliseconds: a mere one, or rows, which the peer answered when it had taken them in. */
  roundTrip(ms: number, what: 'nothing' | 'rows'): void;
}

/** How often a link is measured: often enough to follow it, seldom enough to cost nothing. */
const FRAMES_PER_PING = 16;

interface Opening {
  resolve(): void;
  reject(error: RondoError): void;
}

/** What a stage is opened with. */
export interface StageRequest extends StageTerms {
  readonly positions: number;
}

/**
 * The sending end of the one Passes stream to another worker; all sequences share it. Rows leave as the peer grants them and
 * wait here until then: nobody else waits for a peer that is stuck.
 */
export class PeerLink {
  readonly #address: Address;
  readonly #hooks: PeerLinkHooks;
  readonly #client: WorkerClient;
  readonly #link: PassesLink;
  /** Frames without rows: they need no credit and go before those with. */
  readonly #words: PassesFrame[] = [];
  readonly #outbox: Outbox;
  readonly #activations: Activations;
  #credit = 0;
  /** Frames of rows since one was measured, and since when and with what the ping is under way that is not answered. */
  #unmeasured = FRAMES_PER_PING;
  #measured: { readonly sinceMs: number; readonly with: 'nothing' | 'rows' } | undefined;
  /** The link's first word, and one whenever the peer is silent. */
  #askedForWord = true;
  /** Every turn the peer is asked for a word. */
  readonly #silence = new Silence(
    () => this.#lose(new Error('it has fallen silent')),
    () => {
      this.#askedForWord = true;
      this.#wake();
    },
  );
  readonly #openings = new Map<string, Opening>();
  #sending = false;
  #ended = false;

  constructor(address: Address, hello: Hello, hooks: PeerLinkHooks, tls?: TlsIdentity) {
    this.#address = address;
    this.#hooks = hooks;
    this.#activations = hello.activations;
    this.#outbox = new Outbox(hello.activations);
    this.#client = connectWorker(address, tls);
    this.#link = this.#client.openPasses(hello);
    void this.#listen();
  }

  /** Resolves once the peer has reserved its pages. @throws RondoError the peer's refusal, or WORKER_LOST. */
  openStage(stage: StageRequest): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#openings.set(openingName(stage.sequenceId, stage.route.epoch), { resolve, reject });
      this.#say({ type: 'open-stage', ...stage });
    });
  }

  /** The peer frees the stage's pages; an opening still waiting is called off. */
  closeStage(sequenceId: SequenceId, epoch: number): void {
    this.#settle(sequenceId, epoch)?.reject(new RondoError('CANCELLED', `sequence ${sequenceId} was closed`));
    this.#say({ type: 'close-stage', sequenceId, epoch });
  }

  /** Rows that are to leave with the next `flush`. */
  put(chunks: readonly OutgoingChunk[]): void {
    if (this.#ended) return;
    for (const chunk of chunks) this.#outbox.put(chunk);
  }

  /** Lets rows leave, as far as they are granted. */
  flush(): void {
    if (!this.#ended) this.#wake();
  }

  /** Forgets rows of a sequence that has ended here. */
  drop(sequenceId: SequenceId, epoch: number): void {
    this.#outbox.drop(sequenceId, epoch);
  }

  close(): void {
    this.#end(new RondoError('CANCELLED', 'this worker stops'));
  }

  #say(frame: PassesFrame): void {
    if (this.#ended) return;
    this.#words.push(frame);
    this.#wake();
  }

  #wake(): void {
    if (!this.#sending) void this.#pump();
  }

  #next(): PassesFrame | undefined {
    if (this.#askedForWord && this.#measured === undefined) {
      this.#askedForWord = false;
      this.#measure('nothing');
      return { type: 'ping' };
    }
    const word = this.#words.shift();
    if (word) return word;
    const chunks = this.#outbox.take(this.#credit);
    if (chunks.length === 0) return undefined;
    const rows = rowsOf(chunks);
    this.#credit -= rows;
    const floats = chunks.reduce((sum, { state }) => sum + state.length, 0);
    this.#hooks.sent(rows, floats * bytesPerFloat(this.#activations));
    if (++this.#unmeasured < FRAMES_PER_PING || this.#measured) return { type: 'microbatch', chunks };
    this.#unmeasured = 0;
    this.#measure('rows');
    return { type: 'microbatch', chunks, ping: true };
  }

  #measure(what: 'nothing' | 'rows'): void {
    this.#measured = { sinceMs: performance.now(), with: what };
  }

  async #pump(): Promise<void> {
    this.#sending = true;
    try {
      for (let frame = this.#next(); frame; frame = this.#next()) {
        await this.#link.send(frame);
        // It is on its way, and read, while the next one is encoded.
        if (frame.type === 'microbatch' && !this.#outbox.empty) await setImmediate();
      }
    } catch (thrown) {
      this.#lose(thrown);
    } finally {
      this.#sending = false;
    }
  }

  async #listen(): Promise<void> {
    try {
      for await (const reply of this.#link.events) {
        this.#silence.heard();
        if (reply.type === 'credit') {
          this.#credit += reply.rows;
          this.#wake();
          continue;
        }
        if (reply.type === 'pong') {
          const measured = this.#measured;
          this.#measured = undefined;
          if (measured) this.#hooks.roundTrip(performance.now() - measured.sinceMs, measured.with);
          continue;
        }
        const opening = this.#settle(reply.sequenceId, reply.epoch);
        if (reply.type === 'stage-opened') opening?.resolve();
        else if (opening) opening.reject(reply.error);
        else this.#hooks.stageFailed(reply.sequenceId, reply.epoch, reply.error);
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
    this.#hooks.lost(this.#address, error);
  }

  #end(error: RondoError): void {
    this.#ended = true;
    this.#silence.end();
    this.#words.length = 0;
    this.#outbox.clear();
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

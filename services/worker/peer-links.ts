import type { Address, RondoError, SequenceId, TlsIdentity } from '@rondo/core';
import type { Hello } from '@rondo/wire';
import type { OutgoingChunk } from './outbox.ts';
import { PeerLink, type PeerLinkHooks, type StageRequest } from './peer-link.ts';

/** Links to other workers: opened with the first use, one for each address, forgotten when lost. */
export class PeerLinks {
  readonly #hello: Hello;
  readonly #hooks: PeerLinkHooks;
  readonly #tls: TlsIdentity | undefined;
  readonly #links = new Map<Address, PeerLink>();

  constructor(hello: Hello, hooks: PeerLinkHooks, tls?: TlsIdentity) {
    this.#hello = hello;
    this.#hooks = hooks;
    this.#tls = tls;
  }

  openStage(to: Address, stage: StageRequest): Promise<void> {
    return this.#to(to).openStage(stage);
  }

  /** A peer whose link is gone has freed the stage already. */
  closeStage(at: Address, sequenceId: SequenceId, epoch: number): void {
    this.#links.get(at)?.closeStage(sequenceId, epoch);
  }

  /** Rows for the worker at `to`, which leave with the next `flush`. */
  put(to: Address, chunks: readonly OutgoingChunk[]): void {
    this.#to(to).put(chunks);
  }

  /** Sends what was put: encoding takes the time of whoever calls. */
  flush(): void {
    for (const link of this.#links.values()) link.flush();
  }

  /** Rows of a sequence that has ended need go nowhere. */
  drop(sequenceId: SequenceId, epoch: number): void {
    for (const link of this.#links.values()) link.drop(sequenceId, epoch);
  }

  close(): void {
    for (const link of this.#links.values()) link.close();
    this.#links.clear();
  }

  #to(address: Address): PeerLink {
    const known = this.#links.get(address);
    if (known) return known;
    const lost = (from: Address, error: RondoError): void => {
      this.#links.delete(from);
      this.#hooks.lost(from, error);
    };
    const link = new PeerLink(address, this.#hello, { ...this.#hooks, lost }, this.#tls);
    this.#links.set(address, link);
    return link;
  }
}

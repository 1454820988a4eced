import type { Address, RondoError, Route, SequenceId, TlsIdentity } from '@rondo/core';
import type { Hello, MicrobatchChunk } from '@rondo/wire';
import { PeerLink, type PeerLinkWays } from './peer-link.ts';

/** Links to other workers: opened with the first use, one for each address, forgotten when lost. */
export class PeerLinks {
  readonly #hello: Hello;
  readonly #ways: PeerLinkWays;
  readonly #tls: TlsIdentity | undefined;
  readonly #links = new Map<Address, PeerLink>();

  constructor(hello: Hello, ways: PeerLinkWays, tls?: TlsIdentity) {
    this.#hello = hello;
    this.#ways = ways;
    this.#tls = tls;
  }

  openStage(to: Address, sequenceId: SequenceId, route: Route, positions: number): Promise<void> {
    return this.#to(to).openStage(sequenceId, route, positions);
  }

  /** A peer whose link is gone has freed the stage already. */
  closeStage(at: Address, sequenceId: SequenceId, epoch: number): void {
    this.#links.get(at)?.closeStage(sequenceId, epoch);
  }

  send(to: Address, chunks: readonly MicrobatchChunk[]): void {
    this.#to(to).send(chunks);
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
      this.#ways.lost(from, error);
    };
    const link = new PeerLink(address, this.#hello, { ...this.#ways, lost }, this.#tls);
    this.#links.set(address, link);
    return link;
  }
}

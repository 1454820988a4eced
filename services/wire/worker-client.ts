import { Client, type ClientReadableStream, credentials, Metadata } from '@grpc/grpc-js';
import { type Address, type GenerateSpec, RondoError, type TlsIdentity } from '@rondo/core';
import { CLIENT_OPTIONS, hostOf } from './channel.ts';
import { type GenerateStreamEvent, generateRequest, generateResponse } from './generate-message.ts';
import type { Hello } from './hello.ts';
import { Inflow } from './inflow.ts';
import { MutualChannelCredentials } from './mutual-tls.ts';
import { openPassesLink, type PassesLink } from './passes-link.ts';
import { workerService } from './proto.ts';
import { checkRevision } from './protocol-revision.ts';
import { Silence } from './silence.ts';
import { fromStatus } from './status.ts';
import { describeResponse, type Pulse, type WorkerDescription, watchResponse } from './worker-message.ts';

/** One worker as its callers see it. Failures are RondoErrors: the worker's own, or WORKER_LOST when it is not there. */
export interface WorkerClient {
  /** PROTOCOL_MISMATCH when the worker speaks another revision. */
  describe(signal?: AbortSignal): Promise<WorkerDescription>;
  /** The worker's pulses, until it is lost, cut off or silent: that throws, also when the worker ends them itself. */
  watch(signal: AbortSignal): AsyncIterable<Pulse>;
  /** The call starts with the first `next()`. Aborting, or leaving the loop, cancels it on the worker too. */
  generate(spec: GenerateSpec, signal: AbortSignal): AsyncIterable<GenerateStreamEvent>;
  /** Never throws for the network's sake: a peer that is away or refuses shows in the link's events and sends. */
  openPasses(hello: Hello): PassesLink;
  /** Cancels whatever still runs and closes the connection. */
  close(): void;
}

interface Call {
  cancel(): void;
  on(event: 'status', listener: () => void): unknown;
}

/**
 * Connects on first use and again after every loss; calls fail at once while the worker is away.
 * With `tls` both sides show certificates, and the worker's must name the host of `address`; without, nothing is encrypted.
 */
export function connectWorker(address: Address, tls?: TlsIdentity): WorkerClient {
  return new GrpcWorkerClient(address, tls);
}

const identity = (bytes: Buffer): Buffer => bytes;

const cancelled = (address: Address, cause: unknown): RondoError =>
  new RondoError('CANCELLED', `the call to worker ${address} was cancelled`, { cause });

class GrpcWorkerClient implements WorkerClient {
  readonly #address: Address;
  readonly #client: Client;
  readonly #calls = new Set<Call>();
  #closed = false;

  constructor(address: Address, tls: TlsIdentity | undefined) {
    const host = hostOf(address).replace(/^\[(.*)\]$/, '$1');
    this.#address = address;
    // With the scheme: a host that is named like one ("unix:7001") would be taken for it.
    const trust = tls ? new MutualChannelCredentials(tls, host) : credentials.createInsecure();
    this.#client = new Client(`dns:${address}`, trust, CLIENT_OPTIONS);
  }

  async describe(signal?: AbortSignal): Promise<WorkerDescription> {
    this.#refuseWhenOver(signal);
    const { promise, resolve, reject } = Promise.withResolvers<Buffer>();
    const { path } = workerService.describe;
    const call = this.#client.makeUnaryRequest(path, identity, identity, Buffer.alloc(0), (error, bytes) => {
      if (error !== null) reject(error);
      else resolve(bytes ?? Buffer.alloc(0));
    });
    this.#hold(call, signal);
    try {
      const description = describeResponse.decode(await promise);
      checkRevision(description.protocolRevision, `worker ${this.#address}`);
      return description;
    } catch (error) {
      throw this.#failure(error, signal);
    }
  }

  async *watch(signal: AbortSignal): AsyncGenerator<Pulse> {
    const { path } = workerService.watch;
    let silence: Silence | undefined;
    try {
      yield* new Inflow<Pulse>({
        begin: () => {
          const call = this.#stream(path, Buffer.alloc(0), signal);
          silence = new Silence(() => call.destroy(this.#silent()));
          return call;
        },
        decode: (bytes) => {
          silence?.heard();
          return watchResponse.decode(bytes);
        },
        isLast: () => false,
        failure: (error = this.#ended('its pulses')) => this.#failure(error, signal),
        signal,
      });
    } finally {
      silence?.end();
    }
  }

  generate(spec: GenerateSpec, signal: AbortSignal): AsyncIterable<GenerateStreamEvent> {
    const { path } = workerService.generate;
    return new Inflow<GenerateStreamEvent>({
      begin: () => this.#stream(path, generateRequest.encode(spec), signal),
      decode: (bytes) => generateResponse.decode(bytes),
      isLast: ({ type }) => type === 'finished',
      failure: (error = this.#ended(`${spec.sequenceId} before it was finished`)) =>
        this.#failure(error, signal),
      signal,
    });
  }

  #stream(path: string, request: Buffer, signal: AbortSignal): ClientReadableStream<Buffer> {
    this.#refuseWhenOver(signal);
    const call = this.#client.makeServerStreamRequest(path, identity, identity, request);
    this.#hold(call);
    return call;
  }

  openPasses(hello: Hello): PassesLink {
    this.#refuseWhenOver();
    const { path } = workerService.passes;
    const call = this.#client.makeBidiStreamRequest(path, identity, identity, new Metadata());
    this.#hold(call);
    return openPassesLink(call, hello, this.#address, (error) => this.#failure(error));
  }

  close(): void {
    this.#closed = true;
    for (const call of this.#calls) call.cancel();
    this.#client.close();
  }

  #refuseWhenOver(signal?: AbortSignal): void {
    if (signal?.aborted === true) throw cancelled(this.#address, signal.reason);
    if (this.#closed) throw cancelled(this.#address, new Error('the client is closed'));
  }

  #ended(what: string): RondoError {
    return new RondoError('WORKER_LOST', `worker ${this.#address} ended ${what}`);
  }

  #silent(): RondoError {
    return new RondoError('WORKER_LOST', `worker ${this.#address} has fallen silent`);
  }

  /** Cancels `call` with the signal or the client, as long as it runs. */
  #hold(call: Call, signal?: AbortSignal): void {
    const cancel = (): void => call.cancel();
    this.#calls.add(call);
    signal?.addEventListener('abort', cancel, { once: true });
    call.on('status', () => {
      this.#calls.delete(call);
      signal?.removeEventListener('abort', cancel);
    });
  }

  #failure(error: unknown, signal?: AbortSignal): RondoError {
    if (signal?.aborted === true || this.#closed) return cancelled(this.#address, signal?.reason ?? error);
    return fromStatus(error, this.#address);
  }
}

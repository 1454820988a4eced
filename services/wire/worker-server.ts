import { setTimeout as delay } from 'node:timers/promises';
import {
  logVerbosity,
  ServerCredentials,
  type ServerDuplexStream,
  type ServerUnaryCall,
  type ServerWritableStream,
  type sendUnaryData,
  setLogVerbosity,
} from '@grpc/grpc-js';
import { type Address, address, type GenerateSpec, LIMITS, RondoError, type TlsIdentity } from '@rondo/core';
import { hostOf, SERVER_OPTIONS } from './channel.ts';
import { type GenerateStreamEvent, generateRequest, generateResponse } from './generate-message.ts';
import { Health } from './health.ts';
import { type Hello, helloFrame } from './hello.ts';
import { MutualServerCredentials } from './mutual-tls.ts';
import { type PassesFrame, passesFrame } from './passes-frame.ts';
import { type PassesReply, passesReply } from './passes-reply.ts';
import { healthService, workerService } from './proto.ts';
import { ServedCall } from './served-call.ts';
import { toStatus } from './status.ts';
import { WideServer } from './wide-server.ts';
import { describeResponse, type Pulse, type WorkerDescription, watchResponse } from './worker-message.ts';

/** What a worker does; whatever a handler throws reaches the caller as a RondoError. */
export interface WorkerHandlers {
  describe(): WorkerDescription;
  /** Pulses for one caller, until `signal` fires. */
  watch(signal: AbortSignal): AsyncIterable<Pulse>;
  /** `signal` fires when the caller cancels or is lost, and when the server stops: free everything, then end or throw. */
  generate(spec: GenerateSpec, signal: AbortSignal): AsyncIterable<GenerateStreamEvent>;
  /**
   * One peer's stream, until the promise settles. `frames` ends when the peer closed its link or is gone, and throws on a
   * malformed frame and when the server stops; in all cases the stages opened on it are to be freed.
   * Frames are read from the network only as fast as they are taken here, and while replies flow off.
   */
  passes(
    hello: Hello,
    frames: AsyncIterable<PassesFrame>,
    reply: (reply: PassesReply) => void,
  ): Promise<void>;
}

export interface CloseOptions {
  /** How long running Generate calls may go on before they are ended with WORKER_LOST, in milliseconds. */
  readonly graceMs?: number;
}

export interface ServeOptions {
  /** Nobody is let in who shows no certificate of the same authority. */
  readonly tls?: TlsIdentity | undefined;
  /** Connections beyond it are closed at once; `LIMITS.grpcConnectionsMax` unless told otherwise. */
  readonly connectionsMax?: number;
  /** Told of each connection that is one too many. */
  readonly refused?: () => void;
}

export interface WorkerServer {
  /** Where it really listens: with the port that was chosen when 0 was asked for. */
  readonly address: Address;
  /**
   * Takes no new call, waits for running Generate calls up to the grace, ends whatever still runs and says why.
   * Watch and Passes streams end with the last Generate: a worker that holds stages for others drains them before it closes.
   */
  close(options?: CloseOptions): Promise<void>;
}

const GRACE_MS = 5000;
/** What ending calls and idle connections may take before their sockets are destroyed. */
const FORCE_MS = 500;

// Its one line on standard error ("E No address added …") says less than the error we throw.
setLogVerbosity(logVerbosity.NONE);

/** Listens on `listen` (`host:port`; port 0 takes a free one). CONFIG_INVALID when the address cannot be had. */
export async function serveWorker(
  listen: Address,
  handlers: WorkerHandlers,
  options: ServeOptions = {},
): Promise<WorkerServer> {
  const server = new GrpcWorkerServer(handlers, options);
  await server.bind(listen);
  return server;
}

class GrpcWorkerServer implements WorkerServer {
  readonly #server = new WideServer(SERVER_OPTIONS);
  readonly #health = new Health();
  readonly #handlers: WorkerHandlers;
  readonly #options: ServeOptions;
  readonly #tls: MutualServerCredentials | undefined;
  readonly #calls = new Set<ServedCall>();
  readonly #generating = new Set<Promise<void>>();
  #address: Address = address('');
  #closed: Promise<void> | undefined;

  constructor(handlers: WorkerHandlers, options: ServeOptions) {
    const { tls } = options;
    this.#handlers = handlers;
    this.#options = options;
    this.#tls = tls && new MutualServerCredentials(tls);
    this.#server.addService(workerService, {
      describe: (_call: ServerUnaryCall<Buffer, Buffer>, reply: sendUnaryData<Buffer>) =>
        this.#describe(reply),
      watch: (stream: ServerWritableStream<Buffer, Buffer>) => this.#watch(stream),
      generate: (stream: ServerWritableStream<Buffer, Buffer>) => this.#generate(stream),
      passes: (stream: ServerDuplexStream<Buffer, Buffer>) => this.#passes(stream),
    });
    this.#server.addService(healthService, this.#health.handlers);
  }

  get address(): Address {
    return this.#address;
  }

  async bind(listen: Address): Promise<void> {
    const host = hostOf(listen);
    await new Promise<void>((resolve, reject) => {
      this.#server.bindAsync(listen, this.#tls ?? ServerCredentials.createInsecure(), (error, port) => {
        this.#address = address(`${host}:${port}`);
        if (error !== null) {
          reject(cannotListen(listen, error));
          return;
        }
        const { connectionsMax = LIMITS.grpcConnectionsMax, refused = () => undefined } = this.#options;
        this.#server.boundConnections(connectionsMax, refused);
        this.#server.widenConnections();
        resolve();
      });
    });
  }

  close(options: CloseOptions = {}): Promise<void> {
    this.#closed ??= this.#close(options.graceMs ?? GRACE_MS);
    return this.#closed;
  }

  async #close(graceMs: number): Promise<void> {
    this.#health.stop();
    this.#tls?.close();
    const quiet = new Promise<void>((resolve) => this.#server.tryShutdown(() => resolve()));
    await within(graceMs, Promise.all(this.#generating));
    const stopping = new RondoError('WORKER_LOST', `worker ${this.#address} is stopping`);
    for (const call of this.#calls) call.fail(stopping);
    await within(FORCE_MS, quiet);
    this.#server.forceShutdown();
  }

  #describe(reply: sendUnaryData<Buffer>): void {
    try {
      reply(null, describeResponse.encode(this.#handlers.describe()));
    } catch (error) {
      reply(toStatus(RondoError.from(error)));
    }
  }

  #watch(stream: ServerWritableStream<Buffer, Buffer>): void {
    void this.#run(stream, async ({ signal, outflow }) => {
      for await (const pulse of this.#handlers.watch(signal))
        await outflow.write(watchResponse.encode(pulse));
    });
  }

  #generate(stream: ServerWritableStream<Buffer, Buffer>): void {
    const running = this.#run(stream, async ({ signal, outflow }) => {
      const spec = generateRequest.decode(stream.request);
      for await (const event of this.#handlers.generate(spec, signal)) {
        await outflow.write(generateResponse.encode(event));
      }
    });
    this.#generating.add(running);
    void running.finally(() => this.#generating.delete(running));
  }

  #passes(stream: ServerDuplexStream<Buffer, Buffer>): void {
    void this.#run(stream, async (call) => {
      const received = stream[Symbol.asyncIterator]() as AsyncIterator<Buffer, undefined>;
      const first = await helloOf(received, call);
      if (first.done === true) return;
      const hello = helloFrame.decode(first.value);
      const reply = (answer: PassesReply): void => {
        // Frames wait for replies to flow off, so that what piles up here is bounded by what is open.
        if (!call.ended) stream.write(passesReply.encode(answer));
      };
      await this.#handlers.passes(hello, framesOf(received, call), reply);
    });
  }

  /** Runs a call's work to its end and tells the caller how it ended. Never rejects. */
  async #run(
    stream: ServerWritableStream<Buffer, Buffer> | ServerDuplexStream<Buffer, Buffer>,
    work: (call: ServedCall) => Promise<void>,
  ): Promise<void> {
    const call = new ServedCall(stream);
    this.#calls.add(call);
    try {
      await work(call);
      call.finish();
    } catch (error) {
      call.fail(RondoError.from(error));
    } finally {
      this.#calls.delete(call);
    }
  }
}

/** The first message of a stream; one that stays silent is ended. */
function helloOf(
  received: AsyncIterator<Buffer, undefined>,
  call: ServedCall,
): Promise<IteratorResult<Buffer, undefined>> {
  const silent = new RondoError(
    'INVALID_REQUEST',
    `no hello within ${LIMITS.helloMs} ms on a stream of passes`,
  );
  const late = setTimeout(() => call.fail(silent), LIMITS.helloMs);
  return received.next().finally(() => clearTimeout(late));
}

async function* framesOf(
  received: AsyncIterator<Buffer, undefined>,
  call: ServedCall,
): AsyncGenerator<PassesFrame> {
  try {
    for (;;) {
      await call.outflow.drained();
      const next = await received.next();
      if (next.done === true) return;
      yield passesFrame.decode(next.value);
    }
  } catch (error) {
    if (call.callerGone) return;
    // The stream's own complaint ("premature close") says less than why the call ended.
    call.signal.throwIfAborted();
    throw error;
  }
}

function cannotListen(listen: Address, error: Error): RondoError {
  const inUse = error.message.includes('EADDRINUSE');
  const why = inUse ? 'the port is in use: stop whoever holds it or choose another' : error.message;
  return new RondoError('CONFIG_INVALID', `cannot listen on ${listen}: ${why}`, { cause: error });
}

/** Waits for `work`, but no longer than `ms` milliseconds. */
async function within(ms: number, work: Promise<unknown>): Promise<void> {
  const timer = new AbortController();
  const timeout = delay(ms, undefined, { signal: timer.signal }).catch(() => undefined);
  await Promise.race([work, timeout]);
  timer.abort();
}

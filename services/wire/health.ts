import { type ServerUnaryCall, type ServerWritableStream, type sendUnaryData, status } from '@grpc/grpc-js';
import { messageTypes, WORKER_SERVICE } from './proto.ts';
import { ServingStatus } from './proto-types.ts';

type Watcher = ServerWritableStream<Buffer, Buffer>;

const KNOWN_SERVICES = ['', WORKER_SERVICE];

const answer = (value: number): Buffer => messageTypes.healthCheckResponse.encode({ status: value });

function isKnown(request: Buffer): boolean {
  try {
    return KNOWN_SERVICES.includes(messageTypes.healthCheckRequest.decode(request).service);
  } catch {
    return false;
  }
}

/** grpc.health.v1: a worker serves from its first listening moment, after its warm-up pass, until it stops. */
export class Health {
  #status: number = ServingStatus.SERVING;
  readonly #watchers = new Set<Watcher>();

  readonly handlers = {
    check: (call: ServerUnaryCall<Buffer, Buffer>, reply: sendUnaryData<Buffer>): void => {
      if (isKnown(call.request)) reply(null, answer(this.#status));
      else reply({ code: status.NOT_FOUND, details: 'unknown service' });
    },
    watch: (call: Watcher): void => {
      if (!isKnown(call.request)) {
        call.write(answer(ServingStatus.SERVICE_UNKNOWN));
        return;
      }
      call.write(answer(this.#status));
      this.#watchers.add(call);
      call.on('cancelled', () => this.#watchers.delete(call));
    },
  };

  /** Says so to every watcher and ends their streams. */
  stop(): void {
    this.#status = ServingStatus.NOT_SERVING;
    for (const watcher of this.#watchers) {
      watcher.write(answer(this.#status));
      watcher.end();
    }
    this.#watchers.clear();
  }
}

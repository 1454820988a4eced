import type { Http2Server, Settings } from 'node:http2';
import { type ChannelOptions, Server } from '@grpc/grpc-js';
import { LIMITS, RondoError } from '@rondo/core';

/** What of a grpc-js server is not in its types. */
interface Insides {
  readonly commonServerOptions?: { settings?: Settings };
  readonly http2Servers?: ReadonlyMap<Http2Server, unknown>;
}

/**
 * A gRPC server whose connections are bounded in number, and that lets each caller have `LIMITS.receiveWindowBytes` under
 * way. grpc-js has an option for that which its server ignores (grpc-node.flow_control_window, 1.14): there a frame of
 * activations, twice HTTP/2's 64 KiB, would stop and wait for word that the first half was read.
 */
export class WideServer extends Server {
  /** @throws RondoError INTERNAL when this version of grpc-js keeps its HTTP/2 options elsewhere. */
  constructor(options: ChannelOptions) {
    super(options);
    const common = insidesOf(this).commonServerOptions ?? unknownInsides('commonServerOptions');
    common.settings = { ...common.settings, initialWindowSize: LIMITS.receiveWindowBytes };
  }

  /**
   * Once the server listens: connections beyond `max` are closed before they cost a session, and `refused` hears of each. The
   * option of other gRPC libraries for it (a connection limit) grpc-js does not have.
   */
  boundConnections(max: number, refused: () => void): void {
    for (const server of this.#servers()) {
      server.maxConnections = max;
      server.on('drop', refused);
    }
  }

  /** Of whole connections, once the server listens: settings speak of single streams only. */
  widenConnections(): void {
    for (const server of this.#servers()) {
      server.on('session', (session) => session.setLocalWindowSize(LIMITS.receiveWindowBytes));
    }
  }

  #servers(): Iterable<Http2Server> {
    return (insidesOf(this).http2Servers ?? unknownInsides('http2Servers')).keys();
  }
}

const insidesOf = (server: Server): Insides => server as unknown as Insides;

function unknownInsides(name: string): never {
  throw new RondoError('INTERNAL', `this version of @grpc/grpc-js has no Server.${name}: see wide-server.ts`);
}

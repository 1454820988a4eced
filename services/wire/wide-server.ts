import type { Http2Server, Settings } from 'node:http2';
import { type ChannelOptions, Server } from '@grpc/grpc-js';
import { LIMITS, RondoError } from '@rondo/core';

/** What of a grpc-js server is not in its types. */
interface Insides {
  readonly commonServerOptions?: { settings?: Settings };
  readonly http2Servers?: ReadonlyMap<Http2Server, unknown>;
}

/**
 * A gRPC server that lets each caller have `LIMITS.receiveWindowBytes` under way. grpc-js has an option for that which its server
 * ignores (grpc-node.flow_control_window, 1.14): there a frame of activations, twice HTTP/2's 64 KiB, would stop and wait for word
 * that the first half was read.
 */
export class WideServer extends Server {
  /** @throws RondoError INTERNAL when this version of grpc-js keeps its HTTP/2 options elsewhere. */
  constructor(options: ChannelOptions) {
    super(options);
    const common = insidesOf(this).commonServerOptions ?? unknownInsides('commonServerOptions');
    common.settings = { ...common.settings, initialWindowSize: LIMITS.receiveWindowBytes };
  }

  /** Of whole connections, once the server listens: settings speak of single streams only. */
  widenConnections(): void {
    const servers = insidesOf(this).http2Servers ?? unknownInsides('http2Servers');
    for (const server of servers.keys()) {
      server.on('session', (session) => session.setLocalWindowSize(LIMITS.receiveWindowBytes));
    }
  }
}

const insidesOf = (server: Server): Insides => server as unknown as Insides;

function unknownInsides(name: string): never {
  throw new RondoError('INTERNAL', `this version of @grpc/grpc-js has no Server.${name}: see wide-server.ts`);
}

import { isIP, type Socket } from 'node:net';
import { connect, createSecureContext, type TLSSocket } from 'node:tls';
import { CallCredentials, ChannelCredentials, type experimental, ServerCredentials } from '@grpc/grpc-js';
import { LIMITS, type TlsIdentity, type TlsMaterial } from '@rondo/core';

const TLS_VERSION_MIN = 'TLSv1.2';

const contextOf = ({ cert, key, ca }: TlsMaterial) =>
  ({ cert, key, ca, minVersion: TLS_VERSION_MIN }) as const;

/**
 * A server that shows its certificate and lets nobody in without one of the same authority. grpc-js's own `createSsl`
 * keeps the files it was made with; this one hands each exchange to the HTTP/2 server, for connections to come.
 */
export class MutualServerCredentials extends ServerCredentials {
  readonly #stopFollowing: () => void;

  constructor(identity: TlsIdentity) {
    super(
      { requestCert: true, rejectUnauthorized: true, handshakeTimeout: LIMITS.tlsHandshakeMs },
      contextOf(identity.current),
    );
    this.#stopFollowing = identity.onChange((material) =>
      this.updateSecureContextOptions(contextOf(material)),
    );
  }

  /** Follows no exchange any more. */
  close(): void {
    this.#stopFollowing();
  }

  _equals(other: ServerCredentials): boolean {
    return this === other;
  }
}

/**
 * A client that shows its certificate and holds the server's to the authority and to `host`, the name or IP it was told
 * to connect to. Each new connection uses the identity of its moment.
 */
export class MutualChannelCredentials extends ChannelCredentials {
  readonly #identity: TlsIdentity;
  readonly #host: string;

  /** `host`: a name or an IP, an IPv6 one without brackets. */
  constructor(identity: TlsIdentity, host: string) {
    super();
    this.#identity = identity;
    this.#host = host;
  }

  _isSecure(): boolean {
    return true;
  }

  _equals(other: ChannelCredentials): boolean {
    return this === other;
  }

  _createSecureConnector(
    _target: unknown,
    _options: unknown,
    callCredentials: CallCredentials = CallCredentials.createEmpty(),
  ): experimental.SecureConnector {
    return {
      connect: async (socket) => ({ socket: await this.#secure(socket), secure: true }),
      waitForReady: () => Promise.resolve(),
      getCallCredentials: () => callCredentials,
      destroy() {},
    };
  }

  #secure(socket: Socket): Promise<TLSSocket> {
    const { promise, resolve, reject } = Promise.withResolvers<TLSSocket>();
    const secured = connect({
      socket,
      host: this.#host,
      // TLS forbids an IP as the name asked for; the certificate is held to it all the same, through `host`.
      servername: isIP(this.#host) ? '' : this.#host,
      ALPNProtocols: ['h2'],
      secureContext: createSecureContext(contextOf(this.#identity.current)),
    });
    const closed = () => reject(new Error('the connection was closed during the TLS handshake'));
    secured.setTimeout(LIMITS.tlsHandshakeMs, () =>
      secured.destroy(new Error('the TLS handshake took too long')),
    );
    secured.once('error', reject).once('close', closed);
    secured.once('secureConnect', () => {
      secured.setTimeout(0).off('close', closed);
      resolve(secured);
    });
    return promise;
  }
}

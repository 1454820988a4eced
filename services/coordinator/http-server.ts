import {
  createServer,
  type IncomingMessage,
  type RequestListener,
  type Server,
  type ServerOptions,
  type ServerResponse,
} from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import type { Socket } from 'node:net';
import { LIMITS, RondoError, type TlsIdentity } from '@rondo/core';
import { openAiError } from './openai-error.ts';
import { PipelinedAnswers } from './pipelined-answers.ts';

/** How often sockets that are late with their headers or request are looked for, in milliseconds. */
const LATE_CHECK_MS = 1000;
/** How long a refused socket may take to close its half, in milliseconds; sooner, what it still sends would reset the connection before it has read why. */
const LINGER_MS = 1000;

/**
 * Node's server with every bound set: what a client may cost before it has said anything worth answering.
 * With `https` it speaks TLS and follows the identity's exchanges. A request on a connection beyond `kept` is answered 429
 * and its connection closed: a crowd that came at once is told when to come back.
 */
export function createHttpServer(
  listener: RequestListener,
  https?: TlsIdentity,
  kept: number = LIMITS.httpConnectionsKept,
): Server {
  const bounds: ServerOptions = {
    maxHeaderSize: LIMITS.httpHeaderBytes,
    headersTimeout: LIMITS.httpHeadersMs,
    requestTimeout: LIMITS.httpRequestMs,
    keepAliveTimeout: LIMITS.httpKeepAliveMs,
    connectionsCheckingInterval: LATE_CHECK_MS,
  };
  const server = https ? secureServer(bounds, https) : createServer(bounds);
  const surplus = new WeakSet<Socket>();
  const pipelined = new PipelinedAnswers();
  let open = 0;
  server.on(https ? 'secureConnection' : 'connection', (socket: Socket) => {
    if (++open > kept) surplus.add(socket);
    socket.once('close', () => {
      open--;
      pipelined.abandon(socket);
    });
  });
  server.on('request', (request, response) => {
    if (response.socket === null) pipelined.add(request.socket, response);
    if (surplus.has(request.socket)) refuseSurplus(request, response);
    else listener(request, response);
  });
  server.maxConnections = LIMITS.httpConnectionsMax;
  return server;
}

function refuseSurplus(request: IncomingMessage, response: ServerResponse): void {
  const error = new RondoError(
    'OVERLOADED',
    'too many connections are open; try again shortly, and close those that are idle',
  );
  // A body that nobody reads would have the connection reset before the answer is there.
  request.resume();
  response.writeHead(429, { 'content-type': 'application/json', 'retry-after': '1', connection: 'close' });
  response.end(JSON.stringify(openAiError(error)));
}

function secureServer(bounds: ServerOptions, https: TlsIdentity): Server {
  const context = () => ({
    cert: https.current.cert,
    key: https.current.key,
    minVersion: 'TLSv1.2' as const,
  });
  const options = { ...bounds, ...context(), handshakeTimeout: LIMITS.tlsHandshakeMs };
  const server = createHttpsServer(options);
  const stopFollowing = https.onChange(() => server.setSecureContext(context()));
  server.on('close', stopFollowing);
  return server;
}

/** What Node says of bytes that are no request it takes, as statuses. */
const STATUSES: Readonly<Record<string, readonly [line: string, message: string]>> = {
  HPE_HEADER_OVERFLOW: [
    '431 Request Header Fields Too Large',
    `the request's headers exceed ${LIMITS.httpHeaderBytes} bytes`,
  ],
  ERR_HTTP_REQUEST_TIMEOUT: ['408 Request Timeout', 'the request did not arrive in time'],
};

/** Answers bytes that are no HTTP at all, or too many, or too late, and closes their connection whatever its other end does. */
export function refuseBrokenHttp(error: Error & { readonly code?: string }, socket: Socket): void {
  // Each piece that it still sends comes here again.
  if (socket.writableEnded) return;
  const { _httpMessage: answering } = socket as Socket & { readonly _httpMessage?: ServerResponse | null };
  // Behind a request that is being answered a refusal would stand in the middle of its answer.
  if (!socket.writable || answering?.headersSent) {
    socket.destroy();
    return;
  }
  const [line, message] = STATUSES[error.code ?? ''] ?? ['400 Bad Request', 'malformed HTTP request'];
  const body = JSON.stringify(openAiError(new RondoError('INVALID_REQUEST', message)));
  socket.end(
    `HTTP/1.1 ${line}\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\nconnection: close\r\n\r\n${body}`,
  );
  const lingering = setTimeout(() => socket.destroy(), LINGER_MS);
  socket.once('close', () => clearTimeout(lingering));
}

import { createServer } from 'node:http';
import { createServer as createHttp2Server } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { gunzipSync } from 'node:zlib';
import protobuf from 'protobufjs';

/**
 * An OTLP receiver as a process of its own, on OpenTelemetry's own proto: spans over HTTP (`/v1/traces`, protobuf) and over gRPC.
 * It tells its two ports and, asked, all that it has received.
 */
const PROTO = fileURLToPath(new URL('./proto/', import.meta.url));
const METHOD = '/opentelemetry.proto.collector.trace.v1.TraceService/Export';

const root = new protobuf.Root();
root.resolvePath = (_origin, target) => (target.startsWith(PROTO) ? target : PROTO + target);
root.loadSync('opentelemetry/proto/collector/trace/v1/trace_service.proto');
const Request = root.lookupType('opentelemetry.proto.collector.trace.v1.ExportTraceServiceRequest');
const Response = root.lookupType('opentelemetry.proto.collector.trace.v1.ExportTraceServiceResponse');
const EMPTY = Buffer.from(Response.encode({}).finish());

const received: { readonly way: 'http' | 'grpc'; readonly headers: object; readonly request: object }[] = [];

const take = (way: 'http' | 'grpc', headers: object, bytes: Uint8Array): void => {
  const request = Request.toObject(Request.decode(bytes), { longs: String, enums: String, defaults: true });
  received.push({ way, headers, request });
};

const overHttp = createServer(async (request, response) => {
  const bytes = await buffer(request);
  const known = request.method === 'POST' && request.url === '/v1/traces';
  if (known) take('http', request.headers, bytes);
  response.writeHead(known ? 200 : 404, { 'content-type': 'application/x-protobuf' });
  response.end(EMPTY);
});

/** A gRPC message: whether it is compressed, its length in 4 bytes, and itself. */
const framed = (message: Buffer): Buffer => {
  const head = Buffer.alloc(5);
  head.writeUInt32BE(message.length, 1);
  return Buffer.concat([head, message]);
};

const overGrpc = createHttp2Server();
overGrpc.on('stream', async (stream, headers) => {
  const bytes = await buffer(stream);
  const known = headers[':path'] === METHOD;
  const message = bytes.subarray(5, 5 + bytes.readUInt32BE(1));
  if (known) take('grpc', headers, bytes[0] === 1 ? gunzipSync(message) : message);
  stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
  // 0: OK, 12: UNIMPLEMENTED.
  stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': known ? '0' : '12' }));
  stream.end(framed(EMPTY));
});

const portOf = (server: { address(): unknown }) => (server.address() as AddressInfo).port;

process.on('message', () => process.send!({ received }));
process.once('disconnect', () => process.exit());
await Promise.all([
  new Promise<void>((resolve) => overHttp.listen(0, '127.0.0.1', resolve)),
  new Promise<void>((resolve) => overGrpc.listen(0, '127.0.0.1', resolve)),
]);
process.send!({ httpPort: portOf(overHttp), grpcPort: portOf(overGrpc) });

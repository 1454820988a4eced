import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';

/** A receiver of traces that takes everything and keeps only how much it was: what is measured is not what reads them. */
export class SpanSink implements AsyncDisposable {
  readonly #server: Server;
  bytes = 0;

  private constructor() {
    this.#server = createServer((request, response) => {
      request.on('data', (data: Buffer) => {
        this.bytes += data.length;
      });
      request.on('end', () => response.writeHead(200, { 'content-type': 'application/x-protobuf' }).end());
    });
  }

  static async open(): Promise<SpanSink> {
    const sink = new SpanSink();
    sink.#server.listen(0, '127.0.0.1');
    await once(sink.#server, 'listening');
    return sink;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, 'close');
  }
}

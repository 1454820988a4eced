import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';

/** A network between two processes that can fail: bytes pass until it is told otherwise. */
export class TcpProxy implements AsyncDisposable {
  readonly address: string;
  readonly #server: Server;
  readonly #target: string;
  readonly #near = new Set<Socket>();
  #silent = false;

  private constructor(server: Server, target: string) {
    this.#server = server;
    this.#target = target;
    this.address = `127.0.0.1:${(server.address() as { port: number }).port}`;
    server.on('connection', (near) => this.#join(near));
  }

  /** Leads to `target` (`host:port`). */
  static async to(target: string): Promise<TcpProxy> {
    const server = createServer();
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return new TcpProxy(server, target);
  }

  /** From now on no byte passes and no socket is closed: a cable was pulled. */
  cut(): void {
    this.#silent = true;
    for (const near of this.#near) near.unpipe().pause();
  }

  /** Bytes of new connections pass again. */
  heal(): void {
    this.#silent = false;
    this.reset();
  }

  /** Resets every connection. */
  reset(): void {
    for (const near of this.#near) near.resetAndDestroy();
  }

  /** Whoever connected reads bytes that are no HTTP/2. */
  garble(): void {
    for (const near of this.#near) near.write(Buffer.alloc(64, 0xff));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.close();
    for (const near of this.#near) near.destroy();
  }

  #join(near: Socket): void {
    const [host, port] = this.#target.split(':');
    const far = connect(Number(port), host);
    this.#near.add(near);
    near.on('close', () => {
      this.#near.delete(near);
      far.destroy();
    });
    far.on('close', () => near.destroy());
    for (const socket of [near, far]) socket.on('error', () => {});
    far.on('data', (bytes) => {
      if (!this.#silent) near.write(bytes);
    });
    if (!this.#silent) near.pipe(far);
  }
}

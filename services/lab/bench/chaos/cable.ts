import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { StreamTap } from './stream-tap.ts';

/** One connection through the cable. */
class Line {
  readonly #sides: readonly [client: Socket, server: Socket];
  readonly #taps: readonly [StreamTap, StreamTap];
  readonly #streams = new Set<number>();
  #cut = false;
  /** Sides whose peer may not know yet that they are gone. */
  readonly #gone: number[] = [];

  constructor(client: Socket, server: Socket, onClosed: () => void) {
    this.#sides = [client, server];
    this.#taps = [
      new StreamTap('client', { opened: (stream) => this.#streams.add(stream), ended: () => undefined }),
      new StreamTap('server', { opened: () => undefined, ended: (stream) => this.#streams.delete(stream) }),
    ];
    this.#sides.forEach((socket, side) => {
      const other = this.#sides[1 - side]!;
      socket.setNoDelay(true);
      socket.on('data', (bytes: Buffer) => {
        if (!other.write(this.#taps[side]!.push(bytes))) socket.pause();
      });
      other.on('drain', () => {
        if (!this.#cut) socket.resume();
      });
      // How it broke does not matter: its close follows.
      socket.on('error', () => undefined);
      socket.on('close', () => {
        if (this.#cut) this.#gone.push(side);
        else other.destroy();
        if (this.#sides.every(({ destroyed }) => destroyed)) onClosed();
      });
    });
  }

  get streams(): readonly number[] {
    return [...this.#streams];
  }

  cut(): void {
    this.#cut = true;
    for (const socket of this.#sides) socket.pause();
  }

  heal(): void {
    this.#cut = false;
    for (const socket of this.#sides) socket.resume();
    for (const side of this.#gone.splice(0)) this.#sides[1 - side]!.destroy();
  }

  drop(): void {
    for (const socket of this.#sides) socket.resetAndDestroy();
  }

  /** Resets one stream towards both sides. */
  reset(stream: number, code: number): void {
    this.#streams.delete(stream);
    this.#taps.forEach((tap, side) => {
      this.#sides[1 - side]!.write(tap.reset(stream, code));
    });
  }
}

/** What lies between a worker and all others: a TCP port of its own, from which connections go on to the worker's. */
export class Cable implements AsyncDisposable {
  readonly #server: Server;
  readonly #lines = new Set<Line>();
  #cut = false;

  private constructor(workerPort: number) {
    this.#server = createServer({ pauseOnConnect: true }, (client) => {
      const server = connect({ host: '127.0.0.1', port: workerPort });
      const line = new Line(client, server, () => this.#lines.delete(line));
      this.#lines.add(line);
      if (this.#cut) line.cut();
      else client.resume();
    });
  }

  /** Listens on a free port of loopback for connections to `workerPort`, where nobody need listen yet. */
  static async listen(workerPort: number): Promise<Cable> {
    const cable = new Cable(workerPort);
    cable.#server.listen(0, '127.0.0.1');
    await once(cable.#server, 'listening');
    return cable;
  }

  get address(): string {
    return `127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** From now on no byte passes and neither side learns that the other has gone. */
  cut(): void {
    this.#cut = true;
    for (const line of this.#lines) line.cut();
  }

  /** What was held back passes, and who lost the other side is told. */
  heal(): void {
    this.#cut = false;
    for (const line of this.#lines) line.heal();
  }

  /** Resets all connections; returns how many there were. */
  drop(): number {
    const lines = [...this.#lines];
    for (const line of lines) line.drop();
    return lines.length;
  }

  /** Resets one open stream, which `choose` picks by its place among all of them. False when none is open. */
  reset(choose: (streams: number) => number, code: number): boolean {
    const all = [...this.#lines].flatMap((line) => line.streams.map((stream) => ({ line, stream })));
    const chosen = all[choose(all.length)];
    chosen?.line.reset(chosen.stream, code);
    return chosen !== undefined;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.drop();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

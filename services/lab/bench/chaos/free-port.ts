import { once } from 'node:events';
import { createServer } from 'node:net';

/** A port that nobody listens on, below those that the system gives to connections: it stays free for a restart. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = 20_000 + Math.floor(Math.random() * 10_000);
    const server = createServer().listen(port, '127.0.0.1');
    try {
      await once(server, 'listening');
      await new Promise((resolve) => server.close(resolve));
      return port;
    } catch {
      // Taken: another one.
    }
  }
}

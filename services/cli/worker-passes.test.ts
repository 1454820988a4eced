import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type TestContext, test } from 'node:test';
import { listening, passesOf } from './worker-passes.ts';

/** The port of a worker that has run three passes, and listens on IPv4 alone; and one where nobody does. */
async function ports(context: TestContext): Promise<{ open: number; closed: number }> {
  const serve = async () => {
    const server = createServer((_, response) => response.end('rondo_step_rows_count{phase="block"} 3\n'));
    await once(server.listen(0, '127.0.0.1'), 'listening');
    return { server, port: (server.address() as AddressInfo).port };
  };
  const [open, closed] = [await serve(), await serve()];
  context.after(() => open.server.close());
  await once(closed.server.close(), 'close');
  return { open: open.port, closed: closed.port };
}

test('a worker that listens on one family alone is there, whatever else its name leads to', async (context) => {
  const { open } = await ports(context);
  const addresses = await listening([`127.0.0.1:${open}`, `[::1]:${open}`]);
  assert.deepEqual(addresses, [`127.0.0.1:${open}`]);
  assert.deepEqual([...(await passesOf(addresses))], [[`127.0.0.1:${open}`, 3]]);
});

test('a worker that answers at no address of its own is missed', async (context) => {
  const { open, closed } = await ports(context);
  const dual = [`127.0.0.1:${open}`, `127.0.0.1:${closed}`, `[::1]:${open}`, `[::1]:${closed}`];
  for (const addresses of [dual, dual.slice(0, 2), dual.slice(1, 2)])
    await assert.rejects(listening(addresses), { code: 'NO_WORKER' });
});

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type TestContext, test } from 'node:test';
import { listening, passesOf } from './worker-passes.ts';

/** The port of a worker that has run three passes and listens at `host`, by default on IPv4 alone; and of one that answers nobody. */
async function ports(context: TestContext, host = '127.0.0.1'): Promise<{ open: number; closed: number }> {
  const serve = async (answers: boolean) => {
    const server = createServer((request, response) => {
      if (answers) response.end('rondo_step_rows_count{phase="block"} 3\n');
      else request.socket.destroy();
    });
    await once(server.listen(0, host), 'listening');
    context.after(() => server.close());
    return (server.address() as AddressInfo).port;
  };
  return { open: await serve(true), closed: await serve(false) };
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

test('a worker that listens on both families counts once, and stands for no other', async (context) => {
  const { open, closed } = await ports(context, '::');
  const dual = [`127.0.0.1:${open}`, `127.0.0.1:${closed}`, `[::1]:${open}`, `[::1]:${closed}`];
  await assert.rejects(listening(dual), { code: 'NO_WORKER' });
  assert.deepEqual(await listening([`127.0.0.1:${open}`, `[::1]:${open}`]), [`127.0.0.1:${open}`]);
});

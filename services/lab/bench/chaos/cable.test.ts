import assert from 'node:assert/strict';
import { once } from 'node:events';
import {
  type ClientHttp2Session,
  connect,
  createServer,
  type Http2Stream,
  type ServerHttp2Stream,
} from 'node:http2';
import type { AddressInfo } from 'node:net';
import { after, test } from 'node:test';
import { Cable } from './cable.ts';
import { RESET_CODES } from './stream-tap.ts';

/** An HTTP/2 server that gives back what it gets, behind a cable. */
const server = createServer();
const served: ServerHttp2Stream[] = [];
server.on('stream', (stream) => {
  served.push(stream);
  stream.on('error', () => undefined);
  stream.respond({ ':status': 200 });
  stream.pipe(stream);
});
server.listen(0, '127.0.0.1');
await once(server, 'listening');
const cable = await Cable.listen((server.address() as AddressInfo).port);
const sessions: ClientHttp2Session[] = [];
after(async () => {
  for (const session of sessions) session.destroy();
  await cable[Symbol.asyncDispose]();
  server.close();
});

function session(): ClientHttp2Session {
  const opened = connect(`http://${cable.address}`);
  opened.on('error', () => undefined);
  sessions.push(opened);
  return opened;
}

/** Opens a stream over `over` that has been answered once. */
async function echoing(over: ClientHttp2Session) {
  const stream = over.request({ ':method': 'POST' }, { endStream: false });
  stream.on('error', () => undefined);
  stream.write('a');
  const [first] = (await once(stream, 'data')) as [Buffer];
  assert.equal(first.toString(), 'a');
  return stream;
}

/** Resolves when `stream` has closed, whatever error came before. */
const closed = (stream: Http2Stream): Promise<void> =>
  new Promise((resolve) => {
    stream.once('close', () => resolve());
  });

/** Sends `bytes` of text and waits until all of it has come back. */
async function echo(stream: Awaited<ReturnType<typeof echoing>>, bytes: number): Promise<void> {
  const text = Buffer.alloc(bytes, 'x');
  let got = 0;
  const { promise, resolve } = Promise.withResolvers<void>();
  const read = (data: Buffer) => {
    got += data.length;
    if (got === bytes) resolve();
  };
  stream.on('data', read).write(text);
  await promise;
  stream.off('data', read);
}

test('bytes pass unchanged in both directions, across many frames', async () => {
  await echo(await echoing(session()), 1_000_000);
});

test('one stream is reset on both sides, and the others of its connection go on', async () => {
  const over = session();
  const [first, second] = [await echoing(over), await echoing(over)];
  const ends = [first, served.at(-2)!].map(closed);
  assert.ok(cable.reset((streams) => streams - 2, RESET_CODES.internalError));
  await Promise.all(ends);
  assert.deepEqual([first.rstCode, served.at(-2)!.rstCode], [2, 2]);
  await echo(second, 100_000);
  await echo(await echoing(over), 1000);
});

test('over a cut line nothing comes, not even an end; healed, all of it comes', async () => {
  const stream = await echoing(session());
  cable.cut();
  stream.write('late');
  const left = closed(served.at(-1)!);
  served.at(-1)!.destroy();
  await left;
  // A connection beside the cable shows that time enough has passed for both to arrive.
  const beside = connect(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  sessions.push(beside);
  await echoing(beside);
  assert.ok(!stream.closed);
  const end = closed(stream);
  cable.heal();
  await end;
});

test('a dropped connection ends at once and a new one works', async () => {
  const stream = await echoing(session());
  const end = closed(stream);
  assert.ok(cable.drop() >= 1);
  await end;
  await echo(await echoing(session()), 10);
});

test('with nobody behind it, a connection through the cable is closed', async () => {
  await using deserted = await Cable.listen(1);
  const over = connect(`http://${deserted.address}`);
  over.on('error', () => undefined);
  await once(over, 'close');
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PeerProcess } from './peer-process.ts';

const signal = new AbortController().signal;
const REQUEST = { prompts: [[1, 2]], generate: 1 };

/** A peer that runs `script` with `say(object)` at hand. */
const scripted = (script: string) =>
  PeerProcess.start(
    'scripted',
    [process.execPath, '-e', `const say = (o) => console.log('bench ' + JSON.stringify(o)); ${script}`],
    signal,
  );

const ECHO = `
  console.log('a library says hello');
  say({ ready: true });
  require('readline').createInterface({ input: process.stdin }).on('line', (line) => {
    const { prompts, flash } = JSON.parse(line);
    if (prompts.length === 0) say({ error: 'nothing to do' });
    else say({ prefillMs: prompts[0].length, decodeMs: flash ? 1 : 2, residentBytes: 3 });
  });`;

test('a peer answers each request in turn, whatever else it prints', async () => {
  const peer = await scripted(ECHO);
  try {
    assert.deepEqual(await peer.decode(REQUEST), { prefillMs: 2, decodeMs: 2, residentBytes: 3 });
    assert.deepEqual(await peer.decode(REQUEST, { flash: true }), {
      prefillMs: 2,
      decodeMs: 1,
      residentBytes: 3,
    });
  } finally {
    await peer.stop();
  }
});

test("a peer's refusal carries its words, and the next request is served", async () => {
  const peer = await scripted(ECHO);
  try {
    await assert.rejects(peer.decode({ prompts: [], generate: 1 }), { message: 'scripted: nothing to do' });
    assert.equal((await peer.decode(REQUEST)).prefillMs, 2);
  } finally {
    await peer.stop();
  }
});

test('a peer that ends before it has loaded says why', async () => {
  await assert.rejects(scripted("console.error('no such model'); process.exit(3)"), {
    code: 'ENGINE_FAILED',
    message: 'scripted: ended with 3: no such model',
  });
});

test('a command that cannot be run is an error, not a wait', async () => {
  await assert.rejects(PeerProcess.start('absent', ['/nonexistent/program'], signal), {
    code: 'ENGINE_FAILED',
    message: /^absent: .*ENOENT/,
  });
});

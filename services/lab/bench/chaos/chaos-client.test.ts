import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, test } from 'node:test';
import { ChaosClient } from './chaos-client.ts';

const cleanups: (() => void)[] = [];
after(() => {
  for (const cleanup of cleanups) cleanup();
});

async function clientOf(listener: RequestListener): Promise<ChaosClient> {
  const server = createServer(listener).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const client = new ChaosClient(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  cleanups.push(() => {
    client.close();
    server.closeAllConnections();
    server.close();
  });
  return client;
}

const asked = (stream: boolean, choices = 1) => ({
  path: '/v1/completions' as const,
  choices,
  body: { stream },
});
const event = (...choices: object[]) => `data: ${JSON.stringify({ choices })}\n\n`;
const patient = { id: 'r-1', hungMs: 60_000 };

test('the parts of each choice of a stream are put together', async () => {
  const client = await clientOf((request, response) => {
    assert.equal(request.headers['x-request-id'], 'r-1');
    response.write(event({ index: 1, text: 'a', token_ids: [7], finish_reason: null }));
    const logprobs = { token_logprobs: [-1, -2] };
    response.write(event({ index: 0, text: 'bc', token_ids: [8, 9], logprobs, finish_reason: null }));
    response.end(`${event({ index: 1, text: '', token_ids: [], finish_reason: 'stop' })}data: [DONE]\n\n`);
  });
  const { outcome, choices, tokenMs } = await client.send(asked(true, 2), patient);
  assert.equal(outcome, 'ended');
  assert.deepEqual(choices, [
    { ids: [8, 9], text: 'bc', logprobs: [-1, -2] },
    { ids: [7], text: 'a', logprobs: [], finish: 'stop' },
  ]);
  assert.deepEqual(
    tokenMs.map(({ length }) => length),
    [2, 1],
  );
});

test('a whole answer reads as a stream does', async () => {
  const logprobs = { content: [{ logprob: -3 }] };
  const choice = { index: 0, message: { content: 'x' }, token_ids: [4], logprobs, finish_reason: 'length' };
  const client = await clientOf((_, response) => {
    response.end(JSON.stringify({ choices: [choice] }));
  });
  const { outcome, choices } = await client.send(asked(false), patient);
  assert.deepEqual(
    [outcome, choices],
    ['ended', [{ ids: [4], text: 'x', logprobs: [-3], finish: 'length' }]],
  );
});

test('refusals, broken streams, and streams that end too early are told apart', async () => {
  const outcomeOf = async (listener: RequestListener) => {
    const { outcome, error } = await (await clientOf(listener)).send(asked(true), patient);
    return [outcome, error];
  };
  assert.deepEqual(await outcomeOf((_, response) => response.writeHead(503).end('no')), ['refused', 'no']);
  assert.deepEqual(await outcomeOf((_, response) => response.end(event())), [
    'failed',
    'the stream ended before [DONE]',
  ]);
  const broken = await outcomeOf((_, response) => {
    response.write('data: {"error":{"message":"worker lost"}}\n\n', () => response.destroy());
  });
  assert.deepEqual(broken, ['failed', 'worker lost']);
});

test('a client leaves when it has enough and gives up when nothing comes', async () => {
  const silent = await clientOf((_, response) => {
    response.write(event({ index: 0, text: 'a', token_ids: [7], finish_reason: null }));
  });
  const left = await silent.send(asked(true), { ...patient, leaveAfter: 1 });
  assert.deepEqual([left.outcome, left.choices[0]!.ids], ['left', [7]]);
  const hung = await silent.send(asked(true), { ...patient, hungMs: 5 });
  assert.equal(hung.outcome, 'hung');
});

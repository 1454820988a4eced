import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { GenerateStreamEvent } from '@rondo/wire';
import { TINY } from './test-bundle.ts';
import { request, setUp, tokenIds } from './test-generation.ts';
import { ScriptedWorker } from './test-worker.ts';

/** What a worker may say instead of an event that it should say, when it does not do what it was asked. */
const LIES: Record<string, (event: GenerateStreamEvent) => readonly GenerateStreamEvent[]> = {
  'leaves a token out': (event) => (event.type === 'token' && event.index === 1 ? [] : [event]),
  'opens the sequence twice': (event) => (event.type === 'opened' ? [event, event] : [event]),
  'opens another epoch': (event) => (event.type === 'opened' ? [{ ...event, epoch: 9 }] : [event]),
  'has the whole prompt cached': (event) =>
    event.type === 'opened' ? [{ ...event, cachedTokens: 3 }] : [event],
  'begins without opening': (event) => (event.type === 'opened' ? [] : [event]),
  'says a token that is none': (event) =>
    event.type === 'token' && event.index === 2 ? [{ ...event, id: TINY.vocab }] : [event],
  'says an alternative that is none': (event) =>
    event.type === 'token' ? [{ ...event, top: [{ id: TINY.vocab, logprob: -1 }] }] : [event],
  'spends no pass': (event) => (event.type === 'token' ? [{ ...event, passes: 0 }] : [event]),
  'spends more passes than there are': (event) =>
    event.type === 'token' && event.index === 1 ? [{ ...event, passes: 5 }] : [event],
  'skips passes that nobody let it skip': (event) =>
    event.type === 'token' && event.index === 1 ? [{ ...event, passes: 3 }] : [event],
  'tells no alternatives': (event) => (event.type === 'token' ? [{ ...event, top: [] }] : [event]),
  'tells too many alternatives': (event) =>
    event.type === 'token' ? [{ ...event, top: [...event.top, ...event.top] }] : [event],
  'tells a probability that is no number': (event) =>
    event.type === 'token' ? [{ ...event, logprob: Number.NaN }] : [event],
  'ends at once': (event) => [event, ...(event.type === 'opened' ? [END] : [])],
  'ends before its time': (event) => (event.type === 'token' && event.index === 1 ? [event, END] : [event]),
  'stops without a stop id': (event) =>
    event.type === 'token' ? [event, { ...END, reason: 'stop' }] : [event],
  'goes on after the last token': (event) =>
    event.type === 'token' && event.index === 3 ? [event, { ...event, index: 4 }] : [event],
  'misstates how it ended': (event) => (event.type === 'finished' ? [{ ...event, reason: 'stop' }] : [event]),
  'bills passes that it did not run': (event) =>
    event.type === 'finished' ? [{ ...event, generatedPasses: 99 }] : [event],
  'tells of a prompt that nobody asked about': (event) =>
    event.type === 'token'
      ? [{ type: 'prompt-logprobs', epoch: event.epoch, first: 1, tokens: [] }, event]
      : [event],
};
const END: GenerateStreamEvent = {
  ...({ type: 'finished', epoch: 1, reason: 'length' } as const),
  ...{ promptPasses: 12, generatedPasses: 12 },
};

for (const [lie, tamper] of Object.entries(LIES)) {
  test(`a worker that ${lie} costs the sequence nothing`, async (context) => {
    const reply = () => [10, 11, 12, 13];
    const liar = new ScriptedWorker({ id: 'a', reply, tamper });
    const { run, membership, metrics } = await setUp(context, {
      'a:1': liar,
      'b:1': new ScriptedWorker({ id: 'b', reply }),
    });
    const never = new AbortController().signal;
    const events = await Array.fromAsync(run('s', never, { ...request, topLogprobs: 1 }));
    assert.deepEqual(tokenIds(events), [10, 11, 12, 13]);
    const { type, promptPasses, generatedPasses, reason } = events.at(-1) as Extract<
      GenerateStreamEvent,
      { type: 'finished' }
    >;
    assert.deepEqual([type, reason, promptPasses, generatedPasses], ['finished', 'length', 12, 12]);
    assert.equal(membership.booked, 0);
    assert.match(await metrics.render(), /rondo_contradictions_total 1\n/);
  });
}

test('log probabilities of a prompt are held to the prompt, and all told before the first token', async (context) => {
  type Told = Extract<GenerateStreamEvent, { type: 'prompt-logprobs' }>;
  const lies: ((event: Told) => Told[])[] = [
    () => [],
    (event) => (event.first === 1 ? [event] : []),
    (event) => (event.first === 1 ? [] : [event]),
    (event) => [{ ...event, tokens: event.tokens.map((token) => ({ ...token, id: 7 })) }],
    (event) => [{ ...event, tokens: event.tokens.map((token) => ({ ...token, top: [] })) }],
    (event) => [event, ...(event.first === 1 ? [] : [{ ...event, first: event.first + 1 }])],
  ];
  for (const lie of lies) {
    const liar = new ScriptedWorker({
      id: 'a',
      tamper: (event) => (event.type === 'prompt-logprobs' ? lie(event) : [event]),
    });
    const { run, metrics } = await setUp(context, { 'a:1': liar, 'b:1': new ScriptedWorker({ id: 'b' }) });
    const asked = { ...request, promptLogprobs: true, topLogprobs: 1 };
    const events = await Array.fromAsync(run('s', new AbortController().signal, asked));
    const told = events.flatMap((event) => (event.type === 'prompt-logprobs' ? event.tokens : []));
    assert.deepEqual(
      told.map(({ id }) => id),
      [2, 3],
    );
    assert.equal(tokenIds(events).length, 4);
    assert.match(await metrics.render(), /rondo_recoveries_total\{cause="faulty"\} 1/);
  }
});

test('a sequence that every worker contradicts fails, and says with what', async (context) => {
  const tamper = LIES['says a token that is none']!;
  const { run } = await setUp(context, { 'a:1': new ScriptedWorker({ tamper }) });
  await assert.rejects(Array.fromAsync(run('s')), { code: 'WORKER_FAULTY', message: /id 264/ });
});

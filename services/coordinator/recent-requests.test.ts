import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createLog, Metrics, Telemetry } from '@rondo/chassis';
import { LIMITS, ManualClock, RondoError, type RunRecord, workerId } from '@rondo/core';
import { RecentRequests } from './recent-requests.ts';
import type { RequestTimeline } from './request-timeline.ts';
import { OPEN, request } from './test-generation.ts';
import { keepingTelemetry } from './test-telemetry.ts';

const RUN: RunRecord = {
  ...({ phase: 'block', start: 0, rows: 1, depth: 0, worker: workerId('w'), exited: false } as const),
  ...{ step: 0, stepRows: 1, stepDepths: [0], readyMs: 0, waitMs: 0, runMs: 0 },
};

/** Between a request's headers and the plan for it, in milliseconds. */
const PLANNED_MS = 3;

/** Requests of one owner, whose runs are kept, named by their number. */
function remembering(given?: Telemetry) {
  const metrics = new Metrics();
  const log = createLog('test', { level: 'silent' });
  const telemetry = given ?? new Telemetry({ sample: 0, serviceName: 'test', metrics, log });
  const clock = new ManualClock();
  const requests = new RecentRequests({ metrics, telemetry, log, clock, watched: () => true });
  let count = 0;
  const facts = { owner: undefined, model: 'm', asked: 'm', operation: 'chat', stream: false } as const;
  const begin = (named: { readonly id?: string; readonly owner?: string } = {}): RequestTimeline =>
    requests.begin({
      ...{ ...facts, id: String(count++), promptTokens: 3, ...named },
      ...{ traceparent: undefined, arrivedMs: clock.now() - PLANNED_MS },
    });
  const isKnown = ({ facts: { id, owner } }: RequestTimeline): boolean => {
    try {
      return requests.find(id, owner) !== undefined;
    } catch (thrown) {
      assert.equal(RondoError.from(thrown).code, 'NOT_FOUND');
      return false;
    }
  };
  return { metrics, requests, begin, isKnown, clock };
}

const ran = (timeline: RequestTimeline, runs: number): void =>
  timeline
    .follow(request)
    .timeline!.ran({ type: 'runs', epoch: 1, runs: Array(runs).fill(RUN), dropped: 0 }, () => 0);

test('the oldest that has ended makes room, and none that runs', () => {
  const { requests, begin, isKnown } = remembering();
  const [running, first, second] = [begin(), begin(), begin()];
  first.end();
  second.end();
  for (let more = 3; more <= LIMITS.recentRequests; more++) begin().end();
  assert.deepEqual([running, first, second].map(isKnown), [true, false, true]);
  assert.equal(requests.list(undefined).length, LIMITS.recentRequests);
});

test('a request is known to its key by its id, whatever others call theirs', () => {
  const { requests, begin } = remembering();
  const alices = begin({ id: 'same', owner: 'alice' });
  const bobs = [begin({ id: 'same', owner: 'bob' }), begin({ id: 'same', owner: 'bob' })] as const;
  assert.deepEqual(requests.list('alice'), [alices]);
  assert.equal(requests.find('same', 'alice'), alices);
  assert.deepEqual(requests.list('bob'), [bobs[1]]);
  assert.equal(requests.find('same', 'bob'), bobs[1]);
  assert.throws(() => requests.find('same', 'carol'), { code: 'NOT_FOUND' });
  assert.equal(requests.find('same', undefined), bobs[1], 'where no keys are asked for, the newest');
});

test('what requests keep while they run counts against the memory of all', () => {
  const { begin, isKnown } = remembering();
  const ended = begin();
  ended.end();
  for (let bytes = 0; bytes <= LIMITS.recentRequestsBytes; bytes += 256 * LIMITS.requestRuns) {
    assert.ok(isKnown(ended));
    ran(begin(), LIMITS.requestRuns);
  }
  const newest = begin();
  assert.deepEqual([ended, newest].map(isKnown), [false, true]);
});

test('a request keeps nothing of its prompt, nor of other lists as long as its client likes', () => {
  const timeline = remembering().begin();
  const logitBias = new Map([[1, 2]]);
  timeline.follow({ ...request, sampling: { ...request.sampling, logitBias } });
  const { logitBias: _, ...sampling } = request.sampling;
  assert.deepEqual(timeline.asked, { maxTokens: request.maxTokens, sampling });
});

test('passes are those billed of choices that ended, and those told of choices that run', () => {
  const timeline = remembering().begin();
  ran(timeline, 3);
  ran(timeline, 2);
  assert.equal(timeline.passes, 5);
  const end = { reason: 'length', tokens: 1, cachedTokens: 0, promptPasses: 4, generatedPasses: 6 } as const;
  timeline.hear(0, { text: '', tokens: [], promptTokens: [], end });
  assert.equal(timeline.passes, 12);
});

test('a client that leaves has cancelled, anything else is a failure, and both are told once', async () => {
  const { metrics, begin } = remembering();
  for (const failure of [undefined, new RondoError('CANCELLED', 'left'), new TypeError('a defect')]) {
    const timeline = begin();
    timeline.end(failure);
    timeline.end(new RondoError('OVERLOADED', 'too late'));
  }
  const told = (await metrics.render()).match(/^rondo_requests_ended_total\{.*$/gm);
  assert.deepEqual(told, [
    'rondo_requests_ended_total{asked="m",model="m",state="cancelled"} 2',
    'rondo_requests_ended_total{asked="m",model="m",state="failed"} 1',
  ]);
});

test('a request that is exported because it was slow says what its steps did, and links to none of them', async () => {
  const slowerThanMs = 100;
  const { telemetry, spans } = keepingTelemetry({ sample: 0, slowerThanMs });
  const { begin, clock } = remembering(telemetry);
  begin().end();
  const slow = begin();
  slow.follow(request).timeline!.opened(OPEN, 0);
  slow.sequences[0]!.ran(
    { type: 'runs', epoch: 1, runs: [{ ...RUN, stepRows: 7, stepDepths: [0, 2] }], dropped: 0 },
    () => 0,
  );
  clock.advance(slowerThanMs);
  slow.end();
  const exported = await spans();
  assert.equal(exported.filter(({ parentSpanContext }) => parentSpanContext === undefined).length, 1);
  const pass = exported.find(({ name }) => name === 'pass 0')!;
  assert.deepEqual(pass.links, []);
  assert.deepEqual(
    ['worker', 'step', 'step_rows', 'step_depths', 'wait_ms', 'run_ms'].map(
      (name) => pass.attributes[`rondo.${name}`],
    ),
    ['w', 0, 7, [0, 2], 0, 0],
  );
});

test('the trace of a request that was cancelled says that its client left', async () => {
  const { telemetry, spans } = keepingTelemetry({ sample: 1 });
  const { begin } = remembering(telemetry);
  begin().end();
  const [root] = await spans();
  assert.deepEqual(
    root!.events.map(({ name, attributes }) => [name, attributes?.['rondo.cause']]),
    [['cancelled', 'client-left']],
  );
});

test('what a request waited for is told from its headers on, and its last run to its end', async () => {
  const { telemetry, spans } = keepingTelemetry({ sample: 1 });
  const { begin, clock } = remembering(telemetry);
  const timeline = begin();
  const sequence = timeline.follow(request).timeline!;
  clock.advance(10);
  sequence.opened({ ...OPEN, openMs: 4 }, 0);
  const readyMs = timeline.startedMs + PLANNED_MS + 10;
  sequence.ran(
    { type: 'runs', epoch: 1, runs: [{ ...RUN, readyMs, waitMs: 2, runMs: 5 }], dropped: 0 },
    () => 0,
  );
  clock.advance(9);
  sequence.end();
  timeline.end();
  const exported = await spans();
  const find = (name: string) => exported.find((span) => span.name === name)!;
  const lasted = ({ duration: [s, ns] }: { duration: [number, number] }) => Math.round(s * 1e3 + ns / 1e6);
  assert.deepEqual(['chat m', 'queue', 'place', 'pass 0'].map(find).map(lasted), [
    PLANNED_MS + 19,
    PLANNED_MS + 6,
    4,
    7,
  ]);
  assert.equal(Math.round(Number(find('pass 0').attributes['rondo.settle_ms'])), 2);
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { RequestDetail, RequestSummary } from '@rondo/coordinator';
import { BatchCluster, batchWhen, completionLine, isOver, upload } from './batch-cluster.ts';
import { Cluster, type ClusterOptions } from './cluster.ts';
import { NATS_MISSING } from './nats-server.ts';
import { OtlpReceiver, type ReceivedSpan } from './otlp/receiver.ts';
import { TinyBundle } from './tiny-bundle.ts';
import { ToldStream } from './told-stream.ts';

const LOOPS = 6;
const TRACEPARENT = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01';
/** What the clocks of two processes may be apart, and what rounding does, in milliseconds. */
const APART_MS = 1;
const LIMIT = { timeout: 120_000 };

const isServer = ({ kind }: ReceivedSpan) => kind === 'SPAN_KIND_SERVER';
const isPass = ({ name }: ReceivedSpan) => name.startsWith('pass ');
const isStep = ({ name }: ReceivedSpan) => name === 'step';
const idOf = ({ traceId, spanId }: { traceId: string; spanId: string }) => `${traceId} ${spanId}`;
const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0);
const number = (span: ReceivedSpan, name: string) => Number(span.attributes[`rondo.${name}`] ?? 0);

/** Asks for a completion of so many tokens; returns how long that took, in milliseconds. */
async function complete(
  cluster: Cluster,
  tokens: number,
  headers: Record<string, string> = {},
): Promise<number> {
  const body = { model: 'tiny', prompt: 'once upon a time', max_tokens: tokens, ignore_eos: true };
  const began = performance.now();
  const response = await cluster.post('/v1/completions', body, headers);
  assert.equal(response.status, 200, await response.text());
  return performance.now() - began;
}

/** A cluster that traces every request, whose processes all send their spans by `otlp`, options of each. */
const startTraced = (
  options: Pick<ClusterOptions, 'bundle' | 'workers' | 'placement'>,
  ...otlp: readonly string[]
): Promise<Cluster> =>
  Cluster.start({
    ...options,
    workerOptions: otlp,
    coordinatorOptions: [...otlp, '--trace-sample', '1'],
  });

/** Once the server span is there and every run's step, from whichever worker. */
const whole = (spans: readonly ReceivedSpan[]): boolean => {
  const steps = new Set(spans.filter(isStep).map(idOf));
  return (
    spans.some(isServer) &&
    spans.every(({ name, links }) => name === 'step' || links.every((link) => steps.has(idOf(link))))
  );
};

/** Spans of a request come in order, in more than one export: the last is the head of its last token. */
const hasTold =
  (tokens: number) =>
  (spans: readonly ReceivedSpan[]): boolean =>
    spans.some(({ name, attributes }) => name === 'head' && attributes['rondo.token'] === tokens - 1);

/** Every span of a request but its server span hangs from another of it; steps are roots, linked with the runs both ways. */
function assertConnected(spans: readonly ReceivedSpan[]): ReceivedSpan {
  const [server, ...others] = spans.filter(isServer);
  assert.ok(server && others.length === 0);
  assert.equal(new Set(spans.map(idOf)).size, spans.length);
  const own = new Map(spans.filter((span) => !isStep(span)).map((span) => [span.spanId, span]));
  for (const span of own.values()) {
    assert.equal(span.traceId, server.traceId);
    if (span === server) continue;
    const parent = own.get(span.parentSpanId);
    assert.ok(parent, `${span.name} hangs from nothing`);
    assert.ok(span.startMs >= parent.startMs - APART_MS, `${span.name} begins before ${parent.name}`);
    assert.ok(span.endMs <= parent.endMs + APART_MS, `${span.name} ends after ${parent.name}`);
  }
  const steps = spans.filter(isStep);
  const runs = new Set([...own.values()].filter(({ links }) => links.length > 0).map(idOf));
  assert.ok(steps.length > 0);
  for (const { parentSpanId, links } of steps) {
    assert.equal(parentSpanId, '');
    for (const link of links) assert.ok(runs.has(idOf(link)), 'a step links to a run that is not there');
  }
  return server;
}

/** What it waited for, openings and what each run took, one after the other, are the time that the client measured. */
function assertAddsUp(spans: readonly ReceivedSpan[], latencyMs: number): void {
  const openings = spans.filter(({ name }) => name === 'queue' || name === 'place');
  const runs = spans.filter(({ attributes }) => attributes['rondo.run_ms'] !== undefined);
  const toldMs =
    sum(openings.map(({ startMs, endMs }) => endMs - startMs)) +
    sum(['wait_ms', 'run_ms', 'hop_ms', 'settle_ms'].flatMap((part) => runs.map((run) => number(run, part))));
  assert.ok(
    Math.abs(toldMs - latencyMs) <= 0.05 * latencyMs,
    `${toldMs} ms told of ${latencyMs} ms measured`,
  );
}

test(
  'a request is one connected trace, in the trace and with the sampling of its client',
  LIMIT,
  async () => {
    await using bundle = await TinyBundle.make(LOOPS);
    await using receiver = await OtlpReceiver.start();
    await using cluster = await startTraced(
      { bundle: bundle.directory, workers: 1, placement: 'homed' },
      ...['--otlp-endpoint', receiver.grpcUrl],
    );
    const tokens = 8;
    await complete(cluster, 3, { traceparent: TRACEPARENT.replace(/01$/, '00') });
    await complete(cluster, tokens, { traceparent: TRACEPARENT, 'x-request-id': 'traced' });
    const spans = await receiver.until(whole);

    const server = assertConnected(spans);
    assert.equal(server.traceId, TRACEPARENT.slice(3, 35));
    assert.equal(server.parentSpanId, TRACEPARENT.slice(36, 52));
    assert.equal(server.service, 'rondo-coordinator');
    assert.equal(server.attributes['gen_ai.usage.output_tokens'], tokens);
    assert.deepEqual(server.attributes['gen_ai.response.finish_reasons'], ['length']);
    assert.equal(spans.find(isStep)!.service, 'rondo-worker');
    for (const name of ['queue', 'place', 'prefill', 'prelude', 'head'])
      assert.ok(
        spans.some((span) => span.name === name),
        name,
      );

    const get = async (path: string) => fetch(`${cluster.url}${path}`);
    const { requests } = (await (await get('/console/requests')).json()) as { requests: RequestSummary[] };
    const { id, trace_id, state, passes } = requests[0]!;
    assert.deepEqual([id, trace_id, state], ['traced', server.traceId, 'finished']);
    const detail = (await (await get('/console/requests/traced')).json()) as RequestDetail;
    assert.equal(sum(detail.passes_run.map(({ rows }) => rows)), passes);
    const unknown = await get('/console/requests/nobody');
    assert.equal(unknown.status, 404);
    assert.match(await unknown.text(), /"code":"not_found"/);
  },
);

test(
  'over three workers no pass is missing, none runs before its cause, and times add up',
  LIMIT,
  async () => {
    await using bundle = await TinyBundle.make(LOOPS);
    await using receiver = await OtlpReceiver.start();
    await using cluster = await startTraced(
      { bundle: bundle.directory, workers: 3, placement: 'staged' },
      ...['--otlp-endpoint', receiver.httpUrl, '--otlp-protocol', 'http/protobuf'],
    );
    // So many that what the client itself waits for its turn on a busy machine is a small part of the whole.
    const tokens = 288;
    // Neither the first connection nor cold code is what is measured; a client that samples nothing is not traced.
    await complete(cluster, tokens, { traceparent: TRACEPARENT.replace(/01$/, '00') });
    const latencyMs = await complete(cluster, tokens);
    const spans = await receiver.until((found) => hasTold(tokens)(found) && whole(found));
    const server = assertConnected(spans);
    assert.ok(spans.every(({ way }) => way === 'http'));

    const passes = spans.filter(isPass);
    for (let token = 1; token < tokens; token++) {
      const own = passes
        .filter(({ attributes }) => attributes['rondo.token'] === token)
        .toSorted((a, b) => a.startMs - b.startMs);
      assert.deepEqual(
        own.map((pass) => number(pass, 'depth')),
        Array.from({ length: LOOPS }, (_, depth) => depth),
      );
      assert.equal(new Set(own.map(({ attributes }) => attributes['rondo.worker'])).size, 3);
      assert.deepEqual(
        own.map((pass) => number(pass, 'stage')),
        [0, 0, 1, 1, 2, 2],
      );
      for (const [index, pass] of own.slice(1).entries())
        assert.ok(pass.startMs >= own[index]!.endMs - APART_MS, `a pass of token ${token} before its cause`);
    }
    const prompt = passes.filter(({ attributes }) => attributes['rondo.token'] === undefined);
    assert.equal(
      sum(prompt.map((pass) => number(pass, 'rows'))),
      LOOPS * Number(server.attributes['gen_ai.usage.input_tokens']),
    );
    assert.equal(sum(passes.map((pass) => number(pass, 'rows'))), number(server, 'passes'));

    assertAddsUp(spans, latencyMs);
  },
);

test(
  'a trace goes on through the loss of a worker, with its cause, and its times add up',
  LIMIT,
  async () => {
    await using bundle = await TinyBundle.make(LOOPS);
    await using receiver = await OtlpReceiver.start();
    await using cluster = await Cluster.start({
      bundle: bundle.directory,
      workers: 3,
      placement: 'staged',
      workerOptions: ['--engine', 'timed', '--timed-pass-ms', '5'],
      coordinatorOptions: ['--otlp-endpoint', receiver.grpcUrl, '--trace-sample', '1'],
    });
    // So many that lost passes, and the time until the loss is seen, are a small part of the whole.
    const tokens = 192;
    await complete(cluster, tokens / 8, { traceparent: TRACEPARENT.replace(/01$/, '00') });
    const began = performance.now();
    const stream = new ToldStream(cluster.url, { prompt: 'once', max_tokens: tokens });
    await stream.told(tokens / 2);
    cluster.workers[1]!.kill('SIGKILL');
    await stream.ended;
    const latencyMs = performance.now() - began;
    assert.deepEqual([stream.error, stream.tokens], [undefined, tokens]);
    const spans = await receiver.until(hasTold(tokens));
    const [server] = spans.filter(isServer);
    const ids = new Set(spans.map(({ spanId }) => spanId));
    for (const span of spans) {
      assert.equal(span.traceId, server!.traceId);
      if (span !== server) assert.ok(ids.has(span.parentSpanId), `${span.name} hangs from nothing`);
    }
    const recovery = server!.events.find(({ name }) => name === 'recovery');
    assert.equal(recovery?.attributes['rondo.cause'], 'lost');
    const places = spans.filter(({ name }) => name === 'place');
    assert.deepEqual(
      places.map((place) => place.attributes['rondo.epoch']),
      [...new Set(places.map((place) => place.attributes['rondo.epoch']))],
    );
    assert.ok(places.length >= 2 && number(places.at(-1)!, 'emitted_tokens') > 0);
    assert.ok(
      spans.some(({ name, attributes }) => name === 'prefill' && attributes['rondo.replay'] === true),
    );
    assertAddsUp(spans, latencyMs);
    for (let token = 1; token < tokens; token++) {
      const decode = spans.find(
        ({ name, attributes }) => name === 'decode' && attributes['rondo.token'] === token,
      );
      const depths = new Set(
        spans
          .filter((span) => isPass(span) && span.parentSpanId === decode?.spanId)
          .map((pass) => number(pass, 'depth')),
      );
      assert.equal(depths.size, LOOPS, `token ${token} has passes at ${[...depths]}`);
    }
  },
);

test('each line of a batch is a whole trace, linked to the call that made the batch', {
  ...LIMIT,
  skip: NATS_MISSING,
}, async () => {
  await using receiver = await OtlpReceiver.start();
  const otlp = ['--otlp-endpoint', receiver.grpcUrl];
  await using cluster = await BatchCluster.start({
    ...{ workers: 1, coordinators: 1, workerOptions: otlp },
    options: [...otlp, '--trace-sample', '1'],
  });
  const client = cluster.client();
  const customIds = ['one', 'two', 'three'];
  const file = await upload(
    client,
    customIds.map((id) => completionLine(id)),
  );
  const { id } = await client.batches.create(
    { input_file_id: file.id, endpoint: '/v1/completions', completion_window: '24h' },
    { headers: { traceparent: TRACEPARENT } },
  );
  await batchWhen(client, id, isOver);
  const isLine = ({ attributes }: ReceivedSpan) => attributes['rondo.custom_id'] !== undefined;
  const spans = await receiver.until(
    (found) =>
      found.filter(isLine).length === customIds.length && found.some(({ name }) => name === 'create_batch'),
  );
  const created = spans.find(({ name }) => name === 'create_batch')!;
  assert.deepEqual(
    [created.traceId, created.parentSpanId],
    [TRACEPARENT.slice(3, 35), TRACEPARENT.slice(36, 52)],
  );
  const lines = spans.filter(isLine);
  assert.deepEqual(lines.map(({ attributes }) => attributes['rondo.custom_id']).sort(), customIds.toSorted());
  assert.equal(new Set(lines.map(({ traceId }) => traceId)).size, customIds.length);
  for (const line of lines) {
    assert.equal(line.name, 'batch_line tiny');
    assert.equal(line.attributes['rondo.batch_id'], id);
    assert.deepEqual(line.links.map(idOf), [idOf(created)]);
    const own = spans.filter(({ traceId }) => traceId === line.traceId);
    assert.equal(sum(own.filter(isPass).map((pass) => number(pass, 'rows'))), number(line, 'passes'));
    const ids = new Set(own.map(({ spanId }) => spanId));
    for (const span of own) assert.ok(span === line || ids.has(span.parentSpanId), span.name);
  }
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { RequestDetail, RequestSummary } from '@rondo/coordinator';
import { Cluster } from './cluster.ts';
import { OtlpReceiver } from './otlp/receiver.ts';
import { TinyBundle } from './tiny-bundle.ts';

const LOOPS = 4;
const TOKENS = 8;
const TRACEPARENT = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01';

test('one request is one connected trace that a receiver gets over OTLP', { timeout: 120_000 }, async () => {
  await using bundle = await TinyBundle.make(LOOPS);
  await using receiver = await OtlpReceiver.start();
  await using cluster = await Cluster.start({
    bundle: bundle.directory,
    workers: 1,
    placement: 'homed',
    coordinatorOptions: ['--otlp-endpoint', receiver.grpcUrl],
  });
  const response = await fetch(`${cluster.url}/v1/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', traceparent: TRACEPARENT, 'x-request-id': 'traced' },
    body: JSON.stringify({
      model: 'tiny',
      prompt: 'once upon',
      max_tokens: TOKENS,
      ignore_eos: true,
      temperature: 0,
    }),
  });
  assert.equal(response.status, 200, await response.text());
  const spans = await receiver.until((found) => found.some(({ kind }) => kind === 'SPAN_KIND_SERVER'));

  const server = spans.find(({ kind }) => kind === 'SPAN_KIND_SERVER')!;
  assert.equal(server.traceId, TRACEPARENT.slice(3, 35));
  assert.equal(server.parentSpanId, TRACEPARENT.slice(36, 52));
  assert.equal(server.service, 'rondo-coordinator');
  assert.equal(server.attributes['gen_ai.usage.output_tokens'], TOKENS);
  assert.deepEqual(server.attributes['gen_ai.response.finish_reasons'], ['length']);

  const ids = new Set(spans.map(({ spanId }) => spanId));
  assert.equal(ids.size, spans.length);
  for (const { name, traceId, parentSpanId } of spans.filter((span) => span !== server)) {
    assert.equal(traceId, server.traceId, name);
    assert.ok(ids.has(parentSpanId), `${name} has no parent`);
  }
  // The first token comes from the prompt's last row.
  const passes = spans.filter(({ name }) => name.startsWith('pass '));
  const decoding = passes.filter(({ attributes }) => attributes['rondo.token'] !== undefined);
  assert.equal(decoding.length, (TOKENS - 1) * LOOPS);
  assert.equal(spans.filter(({ name }) => name === 'decode').length, TOKENS - 1);
  for (const name of ['queue', 'place', 'prefill'])
    assert.ok(
      spans.some((span) => span.name === name),
      name,
    );

  const get = async (path: string) => fetch(`${cluster.url}${path}`);
  const { requests } = (await (await get('/console/requests')).json()) as { requests: RequestSummary[] };
  assert.equal(requests[0]!.id, 'traced');
  assert.equal(requests[0]!.trace_id, server.traceId);
  assert.equal(requests[0]!.state, 'finished');
  const detail = (await (await get('/console/requests/traced')).json()) as RequestDetail;
  assert.equal(detail.passes_run.filter(({ token }) => token !== null).length, (TOKENS - 1) * LOOPS);
  const unknown = await get('/console/requests/nobody');
  assert.equal(unknown.status, 404);
  assert.match(await unknown.text(), /"code":"not_found"/);
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { checkTraceFlags, resourceAttributes, telemetryVariables } from './trace-options.ts';

test('a flag for traces that go nowhere is refused by its name', () => {
  const flags = {
    '--trace-sample 0.5': { traceSample: 0.5 },
    '--trace-slower-than 0': { traceSlowerThan: 0 },
    '--otlp-protocol grpc': { otlpProtocol: 'grpc' },
  } as const;
  for (const [said, flag] of Object.entries(flags)) {
    const refused = { code: 'CONFIG_INVALID', message: new RegExp(`^${said}: .*--otlp-endpoint`) };
    // A variable that is empty says nothing.
    for (const nowhere of [undefined, '']) assert.throws(() => checkTraceFlags(flag, nowhere), refused);
    checkTraceFlags(flag, 'http://127.0.0.1:4317');
  }
  checkTraceFlags({}, undefined);
});

test('attributes of the resource are pairs, percent-encoded, whose values may have equals signs', () => {
  assert.deepEqual(resourceAttributes(''), {});
  assert.deepEqual(resourceAttributes('zone=b, token=YQ==,team=one%2Ctwo'), {
    zone: 'b',
    token: 'YQ==',
    team: 'one,two',
  });
});

test('attributes that are no pairs are refused by the name of their variable', () => {
  for (const written of ['zone', '=b', 'zone=%zz', 'a=b,c']) {
    assert.throws(() => resourceAttributes(written), {
      code: 'CONFIG_INVALID',
      message: /^OTEL_RESOURCE_ATTRIBUTES .*: expected key=value/,
    });
  }
});

test("OpenTelemetry's variables count as unset when they are empty", () => {
  const names = [
    ...['OTEL_EXPORTER_OTLP_ENDPOINT', 'OTEL_EXPORTER_OTLP_PROTOCOL', 'OTEL_SERVICE_NAME'],
    ...['OTEL_RESOURCE_ATTRIBUTES', 'OTEL_TRACES_SAMPLER_ARG'],
  ];
  const empty = Object.fromEntries(names.map((name) => [name, '']));
  assert.deepEqual(telemetryVariables('worker', empty), telemetryVariables('worker', {}));
  assert.throws(() => telemetryVariables('worker', { ...empty, OTEL_EXPORTER_OTLP_PROTOCOL: 'smoke' }), {
    code: 'CONFIG_INVALID',
  });
});

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { parse } from 'yaml';
import { PROMTOOL_MISSING } from './prometheus-server.ts';

const INFRA = new URL('../infra/', import.meta.url);

interface Service {
  readonly image: string;
  readonly build?: { readonly dockerfile: string; readonly target: string };
  readonly command?: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
  readonly volumes?: readonly string[];
  readonly ports?: readonly string[];
}

const read = <T>(file: string) => parse(readFileSync(new URL(file, INFRA), 'utf8'), { merge: true }) as T;
const { services, volumes } = read<{
  readonly services: Readonly<Record<string, Service>>;
  readonly volumes: Readonly<Record<string, null>>;
}>('compose.yaml');
const all = Object.entries(services);

/** Where a process of Rondo is told to listen, by option. */
const option = (service: Service, name: string) => service.command?.[service.command.indexOf(name) + 1];

test('every image has a version, and our own are built from what is here', () => {
  for (const [name, { image, build }] of all) {
    assert.match(image, image.startsWith('rondo-') ? /:dev$/ : /:v?\d+\.\d+\.\d+(-[a-z]+)?$/, name);
    assert.equal(image.startsWith('rondo-'), build !== undefined, name);
    if (build === undefined) continue;
    const dockerfile = readFileSync(new URL(`../${build.dockerfile}`, INFRA), 'utf8');
    assert.match(dockerfile, new RegExp(`^FROM .* AS ${build.target}$`, 'm'));
  }
});

test('what containers mount is here, and no port is open beyond this machine', () => {
  const mounts = all.flatMap(([, service]) => service.volumes ?? []).map((each) => each.split(':')[0]!);
  for (const mount of mounts.filter((each) => !each.startsWith('$'))) {
    if (mount.startsWith('.')) assert.ok(existsSync(new URL(mount, INFRA)), mount);
    else assert.ok(mount in volumes, mount);
  }
  for (const port of all.flatMap(([, service]) => service.ports ?? [])) assert.match(port, /^127\.0\.0\.1:/);
});

test('Prometheus scrapes the admin port of every process of Rondo, and of no other', () => {
  const { scrape_configs: jobs } = read<{
    readonly scrape_configs: readonly [{ static_configs: readonly [{ targets: readonly string[] }] }];
  }>('prometheus.yaml');
  const admin = all.flatMap(([name, service]) => {
    const port = service.build && option(service, '--admin')?.split(':')[1];
    return port === undefined ? [] : [`${name}:${port}`];
  });
  assert.ok(admin.length > 0);
  assert.deepEqual([...jobs[0].static_configs[0].targets].sort(), admin.sort());
});

test('traces go to the collector by the way it listens to, and from there to Jaeger', () => {
  const { receivers, exporters } = read<{
    readonly receivers: {
      readonly otlp: { readonly protocols: { readonly grpc: { readonly endpoint: string } } };
    };
    readonly exporters: { readonly otlp: { readonly endpoint: string } };
  }>('otel-collector.yaml');
  const [, port] = receivers.otlp.protocols.grpc.endpoint.split(':');
  for (const [, { build, environment }] of all) {
    if (build) assert.equal(environment?.OTEL_EXPORTER_OTLP_ENDPOINT, `http://otel-collector:${port}`);
  }
  assert.equal(exporters.otlp.endpoint, 'jaeger:4317');
  assert.ok('jaeger' in services && 'otel-collector' in services);
});

test('workers announce the name that the network knows them by', () => {
  const workers = all.filter(([, { image }]) => image.startsWith('rondo-worker:'));
  assert.ok(workers.length > 1);
  for (const [name, service] of workers) assert.equal(option(service, '--advertise'), `${name}:7600`);
});

test('Grafana finds its dashboards where they are mounted, and its sources where they listen', () => {
  const { providers } = read<{
    readonly providers: readonly { readonly options: { readonly path: string } }[];
  }>('grafana/provisioning/dashboards/rondo.yaml');
  const mounted = services.grafana!.volumes!.map((each) => each.split(':') as [string, string]);
  const from = new Map(mounted.map(([host, inside]) => [inside, host]));
  const dashboards = readdirSync(new URL(`${from.get(providers[0]!.options.path)}/`, INFRA));
  const home = services.grafana!.environment!.GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH!;
  assert.ok(
    dashboards.some((name) => home === `${providers[0]!.options.path}/${name}`),
    home,
  );

  const { datasources } = read<{
    readonly datasources: readonly {
      readonly uid: string;
      readonly url: string;
      readonly jsonData?: {
        readonly exemplarTraceIdDestinations: readonly { readonly datasourceUid: string }[];
      };
    }[];
  }>('grafana/provisioning/datasources/rondo.yaml');
  const known = datasources.map(({ uid }) => uid);
  for (const { url, jsonData } of datasources) {
    const { hostname, port } = new URL(url);
    assert.ok(
      services[hostname]?.ports?.some((each) => each.endsWith(`:${port}`)),
      url,
    );
    for (const { datasourceUid } of jsonData?.exemplarTraceIdDestinations ?? [])
      assert.ok(known.includes(datasourceUid), datasourceUid);
  }
});

const run = (command: string, ...args: string[]) =>
  spawnSync(command, args, { encoding: 'utf8', env: { ...process.env, RONDO_BUNDLE: '/bundle' } });
const path = (name: string) => fileURLToPath(new URL(name, INFRA));

const LOADER = path('../.cache/bin/compose-spec');

test('the loader of the Compose specification takes the file, and would not take a misspelt one', {
  skip: !existsSync(LOADER) && 'there is no compose-spec (make infra-tools builds one with Go)',
}, () => {
  // Its command knows no variables of the environment.
  const load = (file: string) => run(LOADER, '--no-interpolation', '--format', 'json', file);
  const { status, stdout, stderr } = load(path('compose.yaml'));
  assert.equal(status, 0, stderr);
  assert.deepEqual(Object.keys(JSON.parse(stdout).services).sort(), Object.keys(services).sort());
  const directory = mkdtempSync(join(tmpdir(), 'rondo-compose-'));
  const misspelt = join(directory, 'compose.yaml');
  const text = readFileSync(path('compose.yaml'), 'utf8');
  writeFileSync(misspelt, text.replace('read_only:', 'readonly:'));
  const refused = load(misspelt);
  rmSync(directory, { recursive: true });
  assert.notEqual(refused.status, 0);
  assert.match(refused.stderr, /readonly/);
});

test('docker compose takes the file', {
  skip: run('docker', 'compose', 'version').status !== 0 && 'docker compose is not here',
}, () => {
  const { status, stderr } = run('docker', 'compose', '--file', path('compose.yaml'), 'config', '--quiet');
  assert.equal(status, 0, stderr);
});

const DASHBOARDS = readdirSync(new URL('grafana/dashboards/', INFRA)).map((name) =>
  path(`grafana/dashboards/${name}`),
);
const SCHEMA = path('../.cache/bin/grafana-schema');

describe("Grafana's description of a dashboard", {
  skip: !existsSync(SCHEMA) && 'there is no grafana-schema (make infra-tools builds one with Go)',
}, () => {
  test('holds for every one', () => {
    assert.ok(DASHBOARDS.length > 0);
    const { status, stderr } = run(SCHEMA, ...DASHBOARDS);
    assert.equal(status, 0, stderr);
  });

  for (const [right, wrong] of [
    ['"gridPos"', '"gridpos"'],
    ['"expr"', '"query"'],
    ['"type":"timeseries"', '"type":"timeserie"'],
  ] as const) {
    test(`would not for ${wrong} instead of ${right}`, () => {
      const directory = mkdtempSync(join(tmpdir(), 'rondo-dashboard-'));
      const misspelt = join(directory, 'dashboard.json');
      writeFileSync(misspelt, readFileSync(DASHBOARDS[0]!, 'utf8').replace(right, wrong));
      const { status, stderr } = run(SCHEMA, misspelt);
      rmSync(directory, { recursive: true });
      assert.equal(status, 1);
      assert.match(stderr, /dashboard\.json: .*panel/);
    });
  }
});

test('promtool takes the configuration of Prometheus', { skip: PROMTOOL_MISSING }, () => {
  const { status, stdout, stderr } = run('promtool', 'check', 'config', path('prometheus.yaml'));
  assert.equal(status, 0, stdout + stderr);
});

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const run = promisify(execFile);
const path = (name: string) => fileURLToPath(new URL(`../../${name}`, import.meta.url));

/** All of infra/compose.yaml but Grafana, whose image cannot be made where no registry answers. */
const SERVICES = ['nats', 'worker-1', 'worker-2', 'coordinator', 'otel-collector', 'jaeger', 'prometheus'];

const compose = async (...args: string[]): Promise<string> => {
  const files = ['infra/compose.yaml', 'integration-tests/containers/compose-up.yaml'];
  const { stdout } = await run(
    'docker',
    [
      ...['compose', '--project-name', 'rondo-watched'],
      ...files.flatMap((file) => ['--file', path(file)]),
      ...args,
    ],
    { env: { ...process.env, RONDO_BUNDLE: path('models/built-in') }, maxBuffer: 1e7 },
  );
  return stdout.trim();
};

/** False, or in one line why there is nothing to bring up. */
async function missing(): Promise<string | false> {
  const config = await compose('config', '--format', 'json').catch(() => undefined);
  if (config === undefined) return 'docker compose is not here';
  const { services } = JSON.parse(config) as { services: Record<string, { image: string }> };
  for (const name of SERVICES) {
    const { image } = services[name]!;
    const there = await run('docker', ['image', 'inspect', image], { timeout: 10_000 }).catch(
      () => undefined,
    );
    if (there === undefined) return `there is no image ${image} (make watcher-images)`;
  }
  return false;
}

/** The cluster of `make up`, for as long as the scope lasts. */
class Watched implements AsyncDisposable {
  static async up(): Promise<Watched> {
    const watched = new Watched();
    try {
      await compose('up', '--no-build', '--detach', '--wait', ...SERVICES);
      return watched;
    } catch (error) {
      await watched[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** The base of a service's URLs, from here. */
  async url(service: string, port: number): Promise<string> {
    return `http://${await compose('port', service, String(port))}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await compose('down', '--volumes', '--timeout', '5');
  }
}

/** What `look` returns once it is something; the test's own limit bounds it. */
async function until<T>(look: () => Promise<T | undefined>): Promise<T> {
  for (;;) {
    const found = await look();
    if (found !== undefined) return found;
    await delay(200);
  }
}

const get = async <T>(url: string): Promise<T> => {
  const response = await fetch(url);
  assert.ok(response.ok, `${url}: ${response.status} ${await response.clone().text()}`);
  return (await response.json()) as T;
};

interface Span {
  readonly spanID: string;
  readonly operationName: string;
  readonly references: readonly {
    readonly refType: string;
    readonly traceID: string;
    readonly spanID: string;
  }[];
  readonly tags: readonly { readonly key: string; readonly value: unknown }[];
}

const tag = (span: Span, key: string) => span.tags.find((each) => each.key === key)?.value;
const passesOf = (spans: readonly Span[]) =>
  spans.filter(({ operationName }) => /^pass \d+$/.test(operationName));
const rowsOf = (passes: readonly Span[]) =>
  passes.reduce((sum, pass) => sum + Number(tag(pass, 'rondo.rows')), 0);
const PARENT = 'a'.repeat(16);
const TOKENS = 6;

describe('what make up brings up', { skip: await missing(), timeout: 170_000 }, () => {
  test('answers; Jaeger has each request as one trace, with every pass and the steps that ran them; Prometheus has all and its rules', async () => {
    await using watched = await Watched.up();
    const [api, jaeger, prometheus] = await Promise.all([
      watched.url('coordinator', 8080),
      watched.url('jaeger', 16686),
      watched.url('prometheus', 9090),
    ]);
    const { data: models } = await get<{ data: { id: string }[] }>(`${api}/v1/models`);
    const ask = async (): Promise<string> => {
      const traceId = randomBytes(16).toString('hex');
      const response = await fetch(`${api}/v1/completions`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', traceparent: `00-${traceId}-${PARENT}-01` },
        body: JSON.stringify({
          model: models[0]!.id,
          ...{ prompt: '12+30=', max_tokens: TOKENS, temperature: 0, ignore_eos: true },
        }),
      });
      assert.equal(response.status, 200, await response.text());
      return traceId;
    };
    const traces = await Promise.all(Array.from({ length: 4 }, ask));

    const spansOf = async (traceId: string): Promise<readonly Span[] | undefined> => {
      const response = await fetch(`${jaeger}/api/traces/${traceId}`);
      // A trace of which nothing has come yet.
      if (response.status === 404) return undefined;
      const { data } = (await response.json()) as { data: { spans: Span[] }[] };
      assert.equal(data.length, 1);
      return data[0]!.spans;
    };
    const workers = new Set<unknown>();
    for (const traceId of traces) {
      // Spans come in parcels; the root says how many rows' passes there are.
      const spans = await until(async () => {
        const found = (await spansOf(traceId)) ?? [];
        const root = found.find(({ references }) => references.some(({ spanID }) => spanID === PARENT));
        return root && rowsOf(passesOf(found)) === tag(root, 'rondo.passes') ? found : undefined;
      });
      const ids = new Set(spans.map(({ spanID }) => spanID));
      const parents = spans.map(
        ({ references }) => references.find(({ refType }) => refType === 'CHILD_OF')?.spanID,
      );
      // The root's parent is the client's span; every other's is in the trace.
      assert.deepEqual(
        parents.filter((parent) => !ids.has(parent!)),
        [PARENT],
      );
      const passes = passesOf(spans);
      assert.ok(passes.length >= TOKENS);
      for (const pass of passes) workers.add(tag(pass, 'rondo.worker'));

      // A step is a trace of its own, which its worker exports.
      const step = passes[0]!.references.find((reference) => reference.traceID !== traceId)!;
      const [ran] = await until(() => spansOf(step.traceID));
      assert.equal(ran!.operationName, 'step');
      assert.equal(tag(ran!, 'rondo.worker'), tag(passes[0]!, 'rondo.worker'));
      assert.ok(ran!.references.some(({ traceID }) => traces.includes(traceID)));
    }
    assert.equal(workers.size, 2, 'both workers ran passes');
    const { data: known } = await get<{ data: string[] }>(`${jaeger}/api/services`);
    for (const service of ['rondo-coordinator', 'rondo-worker']) assert.ok(known.includes(service), service);

    type Targets = { data: { activeTargets: { labels: { instance: string }; health: string }[] } };
    const up = await until(async () => {
      const { data } = await get<Targets>(`${prometheus}/api/v1/targets`);
      return data.activeTargets.every(({ health }) => health !== 'unknown') ? data.activeTargets : undefined;
    });
    assert.deepEqual(up.map(({ labels: { instance }, health }) => `${instance} ${health}`).sort(), [
      'coordinator:9090 up',
      'worker-1:9090 up',
      'worker-2:9090 up',
    ]);
    type Rules = { data: { groups: { rules: { name: string; health: string; state: string }[] }[] } };
    const rules = await until(async () => {
      const { data } = await get<Rules>(`${prometheus}/api/v1/rules`);
      const all = data.groups.flatMap((group) => group.rules);
      return all.length > 0 && all.every(({ health }) => health !== 'unknown') ? all : undefined;
    });
    // One may be pending: targets are down until they are up.
    for (const { name, health, state } of rules)
      assert.ok(health === 'ok' && state !== 'firing', `${name} is ${health} and ${state}`);

    // From a slow bucket to the trace: what Grafana's panels link to.
    type Exemplars = { data: { exemplars: { labels: { trace_id: string } }[] }[] };
    const exemplar = await until(async () => {
      const now = Date.now() / 1000;
      const query = `query=rondo_request_seconds_bucket&start=${now - 600}&end=${now + 60}`;
      const { data } = await get<Exemplars>(`${prometheus}/api/v1/query_exemplars?${query}`);
      return data[0]?.exemplars[0]?.labels.trace_id;
    });
    assert.ok(traces.includes(exemplar));
  });
});

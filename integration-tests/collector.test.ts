import assert from 'node:assert/strict';
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { connect } from 'node:net';
import { describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { freePort } from './free-port.ts';
import { OtlpReceiver } from './otlp/receiver.ts';
import { RondoProcess } from './rondo-process.ts';
import { TinyBundle } from './tiny-bundle.ts';

const path = (name: string) => fileURLToPath(new URL(`../${name}`, import.meta.url));
const COLLECTOR = path('.cache/bin/otelcol');
const CONFIG = path('infra/otel-collector.yaml');
const MISSING = !existsSync(COLLECTOR) && 'there is no collector (make infra-tools builds one with Go)';

/** The configuration of infra with its addresses exchanged for those of this run. */
class Collector implements AsyncDisposable {
  readonly url: string;
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess, port: number) {
    this.#child = child;
    this.url = `http://127.0.0.1:${port}`;
  }

  /** @param exporter `host:port` of what stands for Jaeger */
  static async start(exporter: string): Promise<Collector> {
    const [grpc, http] = [await freePort(), await freePort()];
    const changes = {
      'receivers::otlp::protocols::grpc::endpoint': `127.0.0.1:${grpc}`,
      'receivers::otlp::protocols::http::endpoint': `127.0.0.1:${http}`,
      'exporters::otlp::endpoint': exporter,
      // Its own metrics would have a port that others may have, too.
      'service::telemetry::metrics::level': 'none',
    };
    const settings = Object.entries(changes).map(([name, value]) => `--config=yaml:${name}: ${value}`);
    const child = spawn(COLLECTOR, [`--config=${CONFIG}`, ...settings], {
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    let log = '';
    child.stderr!.on('data', (data) => {
      log += data;
    });
    while (!(await listens(grpc))) {
      assert.equal(child.exitCode, null, log);
      await delay(20);
    }
    return new Collector(child, grpc);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const gone = once(this.#child, 'exit');
    this.#child.kill();
    await gone;
  }
}

const listens = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });

describe("OpenTelemetry's Collector", { skip: MISSING }, () => {
  const validate = (...settings: string[]) =>
    spawnSync(COLLECTOR, ['validate', `--config=${CONFIG}`, ...settings], { encoding: 'utf8' });

  test('takes the configuration of infra, and would not take a misspelt one', () => {
    const { status, stderr } = validate();
    assert.equal(status, 0, stderr);
    const misspelt = validate('--config=yaml:processors::memory_limiter::limit_mibs: 1');
    assert.notEqual(misspelt.status, 0);
    assert.match(misspelt.stderr, /limit_mibs/);
  });

  test('hands the traces of a request on', { timeout: 60_000 }, async () => {
    await using bundle = await TinyBundle.make(2);
    await using receiver = await OtlpReceiver.start();
    await using collector = await Collector.start(new URL(receiver.grpcUrl).host);
    await using server = await RondoProcess.start(
      ...['run', '--model', bundle.directory, '--listen', '127.0.0.1:0', '--kv-mb', '16'],
      ...['--otlp-endpoint', collector.url, '--trace-sample', '1'],
    );
    const response = await fetch(new URL('/v1/completions', server.ready), {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ model: 'tiny', prompt: [1, 2, 3], max_tokens: 2, ignore_eos: true }),
    });
    assert.equal(response.status, 200, await response.text());
    const spans = await receiver.until(
      (found) =>
        found.some(({ kind }) => kind === 'SPAN_KIND_SERVER') && found.some(({ name }) => name === 'step'),
    );
    assert.ok(spans.every(({ service }) => service.startsWith('rondo')));
    assert.ok(spans.some(({ name }) => name === 'pass 1'));
  });
});

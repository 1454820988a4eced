import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { freePort } from './free-port.ts';

const HOST = '127.0.0.1';
const START_MS = 30_000;

/** For `test(name, { skip: PROMETHEUS_MISSING }, …)`: false, or why there is no server to test with. */
export const PROMETHEUS_MISSING = missing('prometheus');

/** The same for its tool, which checks what a server is to read. */
export const PROMTOOL_MISSING = missing('promtool');

function missing(command: string): string | false {
  return (
    spawnSync(command, ['--version']).status !== 0 && `${command} is not here (apt-get install prometheus)`
  );
}

/** One series that an expression has, with its labels. */
export interface Series {
  readonly metric: Readonly<Record<string, string>>;
  readonly value: readonly [time: number, value: string];
}

/** A real Prometheus that scrapes `targets` (`host:port`) as job `rondo`, twice a second. */
export class PrometheusServer implements AsyncDisposable {
  readonly #url: string;
  readonly #child: ChildProcess;
  readonly #directory: string;

  private constructor(url: string, child: ChildProcess, directory: string) {
    this.#url = url;
    this.#child = child;
    this.#directory = directory;
  }

  static async start(targets: readonly string[]): Promise<PrometheusServer> {
    const directory = await mkdtemp(join(tmpdir(), 'rondo-prometheus-'));
    // JSON is YAML.
    const config = {
      global: { scrape_interval: '500ms', scrape_timeout: '500ms' },
      scrape_configs: [{ job_name: 'rondo', static_configs: [{ targets }] }],
    };
    const file = join(directory, 'prometheus.yaml');
    await writeFile(file, JSON.stringify(config));
    const address = `${HOST}:${await freePort()}`;
    const child = spawn(
      'prometheus',
      [
        ...['--config.file', file, '--storage.tsdb.path', join(directory, 'data')],
        ...['--web.listen-address', address, '--log.level', 'warn'],
      ],
      { stdio: ['ignore', 'ignore', 'pipe'] },
    );
    let log = '';
    child.stderr.on('data', (data: Buffer) => {
      log += data.toString();
    });
    const server = new PrometheusServer(`http://${address}`, child, directory);
    const latest = Date.now() + START_MS;
    while (!(await server.#ready())) {
      if (child.exitCode !== null || Date.now() > latest) {
        await server[Symbol.asyncDispose]();
        throw new Error(`prometheus does not start:\n${log}`);
      }
      await delay(50);
    }
    return server;
  }

  /** What `expression` is now. @throws Error with Prometheus' own words when it cannot be evaluated */
  async query(expression: string): Promise<readonly Series[]> {
    const response = await fetch(`${this.#url}/api/v1/query?query=${encodeURIComponent(expression)}`);
    const { data, error } = (await response.json()) as {
      data?: { result: readonly Series[] };
      error?: string;
    };
    if (data === undefined) throw new Error(`${expression}: ${error}`);
    return data.result;
  }

  /** Waits until `expression` has a series; the test's own limit bounds it. */
  async until(expression: string): Promise<void> {
    while ((await this.query(expression)).length === 0) await delay(100);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode === null && this.#child.signalCode === null) {
      const exited = once(this.#child, 'exit');
      this.#child.kill('SIGTERM');
      await exited;
    }
    await rm(this.#directory, { recursive: true, force: true });
  }

  #ready(): Promise<boolean> {
    return fetch(`${this.#url}/-/ready`).then(
      ({ ok }) => ok,
      () => false,
    );
  }
}

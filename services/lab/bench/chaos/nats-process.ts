import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import { RondoError } from '@rondo/core';
import { freePort } from './free-port.ts';

/** A NATS server of the bench's own, on one port of loopback for its whole life, however often it is started again. */
export class NatsProcess implements AsyncDisposable {
  readonly url: string;
  readonly #binary: string;
  readonly #args: readonly string[];
  readonly #directory: string;
  #child: ChildProcess | undefined;
  /** The restart that is under way. */
  #restarting: Promise<void> = Promise.resolve();

  private constructor(binary: string, port: number, directory: string) {
    this.#binary = binary;
    this.#directory = directory;
    this.url = `nats://127.0.0.1:${port}`;
    this.#args = ['--jetstream', '--store_dir', directory, '--addr', '127.0.0.1', '--port', String(port)];
  }

  /** Undefined when neither PATH nor `<cache>/bin` has a nats-server from 2.11 on; `make nats-server` builds one. */
  static async start(cache: string): Promise<NatsProcess | undefined> {
    for (const binary of ['nats-server', join(cache, 'bin', 'nats-server')]) {
      if (!(await isRecent(binary))) continue;
      const directory = await mkdtemp(join(tmpdir(), 'rondo-chaos-nats-'));
      const server = new NatsProcess(binary, await freePort(), directory);
      await server.#start();
      return server;
    }
    return undefined;
  }

  /** Kills it and starts it again after `awayMs`, in the background. Does nothing while it is away already. */
  restart(awayMs: number): boolean {
    const child = this.#child;
    if (child === undefined) return false;
    this.#child = undefined;
    this.#restarting = (async () => {
      await kill(child);
      await delay(awayMs);
      await this.#start();
    })();
    return true;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#restarting;
    if (this.#child) await kill(this.#child);
    await rm(this.#directory, { recursive: true, force: true });
  }

  async #start(): Promise<void> {
    const child = spawn(this.#binary, this.#args, { stdio: ['ignore', 'ignore', 'pipe'] });
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    let log = '';
    child.stderr.on('data', (data: Buffer) => {
      log = (log + data.toString()).slice(-2000);
      if (log.includes('Server is ready')) resolve();
    });
    child.once('error', reject);
    child.once('exit', (code) =>
      reject(new RondoError('ENGINE_FAILED', `nats-server ended with ${code}:\n${log}`)),
    );
    await promise;
    this.#child = child;
  }
}

async function kill(child: ChildProcess): Promise<void> {
  const ended = once(child, 'exit');
  child.kill('SIGKILL');
  await ended;
}

async function isRecent(binary: string): Promise<boolean> {
  try {
    const { stdout } = await promisify(execFile)(binary, ['--version']);
    const [, major, minor] = /v(\d+)\.(\d+)/.exec(stdout) ?? [];
    return Number(major) > 2 || (Number(major) === 2 && Number(minor) >= 11);
  } catch {
    return false;
  }
}

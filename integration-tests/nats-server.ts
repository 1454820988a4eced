import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createConnection } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { freePort } from './free-port.ts';

const run = promisify(execFile);
const ROOT = new URL('..', import.meta.url).pathname;
const BUILT = join(ROOT, '.cache/bin/nats-server');
const HOST = '127.0.0.1';

/** A server that is new enough, or why there is none: on PATH, built before, or built now when Go is there. */
async function findNatsServer(): Promise<{ binary: string } | { missing: string }> {
  for (const binary of ['nats-server', BUILT]) if (await isRecent(binary)) return { binary };
  const hasGo = await run('go', ['version']).then(
    () => true,
    () => false,
  );
  if (!hasGo) return { missing: 'there is no nats-server from 2.11 on, nor Go to build one' };
  try {
    await run('make', ['--no-print-directory', 'nats-server'], { cwd: ROOT });
    return { binary: BUILT };
  } catch (error) {
    return {
      missing: `nats-server cannot be built: ${String((error as Error).message)
        .split('\n')
        .slice(0, 3)
        .join(' ')}`,
    };
  }
}

async function isRecent(binary: string): Promise<boolean> {
  if (binary.includes('/') && !existsSync(binary)) return false;
  try {
    const { stdout } = await run(binary, ['--version']);
    const [, major, minor] = /v(\d+)\.(\d+)/.exec(stdout) ?? [];
    return Number(major) > 2 || (Number(major) === 2 && Number(minor) >= 11);
  } catch {
    return false;
  }
}

const found = await findNatsServer();

/** A server that is new enough, by name or path; undefined when there is none. */
export const NATS_SERVER: string | undefined = 'missing' in found ? undefined : found.binary;

/** For `test(name, { skip: NATS_MISSING }, …)`: false, or why there is no server to test with. */
export const NATS_MISSING: string | false = 'missing' in found ? found.missing : false;

export interface NatsServerOptions {
  /** Lines of its configuration file beside where it listens. */
  readonly config?: string;
  /** It can store things unless told otherwise. */
  readonly jetStream?: boolean;
}

/** A real nats-server with JetStream on loopback; its port stays the same when it is started again. */
export class NatsServer implements AsyncDisposable {
  readonly port: number;
  readonly url: string;
  readonly #directory: string;
  readonly #config: string;
  #child: ChildProcess | undefined;

  private constructor(directory: string, port: number, config: string) {
    this.#directory = directory;
    this.#config = config;
    this.port = port;
    this.url = `nats://${HOST}:${port}`;
  }

  static async start({ config = '', jetStream = true }: NatsServerOptions = {}): Promise<NatsServer> {
    const directory = await mkdtemp(join(tmpdir(), 'rondo-nats-'));
    const storage = jetStream ? `jetstream { store_dir: "${directory}/jetstream" }\n` : '';
    const server = new NatsServer(directory, await freePort(), storage + config);
    await server.start();
    return server;
  }

  /** Starts it, the first time or again after `kill`. What it stored in memory is gone. */
  async start(): Promise<void> {
    if ('missing' in found) throw new Error(found.missing);
    const file = join(this.#directory, 'nats.conf');
    await writeFile(
      file,
      `listen: "${HOST}:${this.port}"
${this.#config}
`,
    );
    const child = spawn(found.binary, ['--config', file], { stdio: ['ignore', 'ignore', 'pipe'] });
    this.#child = child;
    let log = '';
    child.stderr.setEncoding('utf8');
    await new Promise<void>((resolve, reject) => {
      child.stderr.on('data', (text: string) => {
        log += text;
        if (log.includes('Server is ready')) resolve();
      });
      child.once('error', reject);
      child.once('exit', (code) => reject(new Error(`nats-server exited with ${code}:\n${log}`)));
    });
    child.stderr.removeAllListeners('data').resume();
    await this.#answers();
  }

  /** Ends it at once, as a crash would. */
  async kill(): Promise<void> {
    const child = this.#child;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const exited = once(child, 'exit');
    child.kill('SIGKILL');
    await exited;
  }

  /** Of one that was killed: what it stored on disk is gone, too. */
  async loseFiles(): Promise<void> {
    await rm(join(this.#directory, 'jetstream'), { recursive: true, force: true });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
    await rm(this.#directory, { recursive: true, force: true });
  }

  async #answers(): Promise<void> {
    const socket = createConnection(this.port, HOST);
    await once(socket, 'data');
    socket.destroy();
  }
}

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';

const RONDO = new URL('../rondo', import.meta.url).pathname;
const START_MS = 60_000;

/** A `rondo` command running as a process of its own, ready to be spoken to. */
export class RondoProcess implements AsyncDisposable {
  readonly #child: ChildProcess;
  /** What it printed after `ready `: an address or a URL. */
  readonly ready: string;

  readonly #errors: () => string;

  private constructor(child: ChildProcess, ready: string, errors: () => string) {
    this.#child = child;
    this.#errors = errors;
    this.ready = ready;
  }

  /** Starts `rondo ...args` and waits for its `ready` line. */
  static async start(...args: string[]): Promise<RondoProcess> {
    const child = spawn(RONDO, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    let errors = '';
    child.stderr.on('data', (data: Buffer) => {
      errors += data.toString();
    });
    const lines = createInterface({ input: child.stdout });
    const ready = await Promise.race([
      new Promise<string>((resolve) => {
        lines.on('line', (line) => {
          const match = /^ready (\S+)/.exec(line);
          if (match) resolve(match[1]!);
        });
      }),
      once(child, 'exit').then(([code]) => {
        throw new Error(`rondo ${args.join(' ')} exited with ${code} before it was ready:\n${errors}`);
      }),
      new Promise<never>((_, reject) => {
        const expire = () => reject(new Error(`rondo ${args.join(' ')} was not ready in time:\n${errors}`));
        setTimeout(expire, START_MS).unref();
      }),
    ]).catch((error: unknown) => {
      child.kill('SIGKILL');
      throw error;
    });
    return new RondoProcess(child, ready, () => errors);
  }

  /** Runs `rondo ...args` to its end. */
  static async run(...args: string[]): Promise<{ code: number | null; stdout: string; stderr: string }> {
    const child = spawn(RONDO, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    let [stdout, stderr] = ['', ''];
    child.stdout.on('data', (data: Buffer) => {
      stdout += data.toString();
    });
    child.stderr.on('data', (data: Buffer) => {
      stderr += data.toString();
    });
    const [code] = (await once(child, 'close')) as [number | null];
    return { code, stdout, stderr };
  }

  /** What it wrote to standard error so far. */
  get errors(): string {
    return this.#errors();
  }

  /** Resolves when it writes to standard error again. */
  async wrote(): Promise<void> {
    await once(this.#child.stderr!, 'data');
  }

  kill(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  /** Resolves when it has ended: with its exit code, or the signal that ended it. */
  async exited(): Promise<number | NodeJS.Signals> {
    if (this.#child.exitCode === null && this.#child.signalCode === null) await once(this.#child, 'exit');
    return this.#child.exitCode ?? this.#child.signalCode!;
  }

  /** Asks it to end and waits; the exit code says whether it ended well. */
  async stop(): Promise<number | null> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return this.#child.exitCode;
    const exited = once(this.#child, 'exit');
    this.#child.kill('SIGTERM');
    const [code] = (await exited) as [number | null];
    return code;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }
}

import { type ChildProcess, spawn } from 'node:child_process';
import { createWriteStream } from 'node:fs';
import { createInterface } from 'node:readline';
import { RondoError } from '@rondo/core';

export interface RondoProcessOptions {
  /** Kills it when aborted. */
  readonly signal?: AbortSignal;
  /** A file to which its standard error is appended. */
  readonly log?: string;
}

/** How a process ended: with a code, or by a signal. */
export interface ProcessEnd {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

const START_MS = 120_000;
const ERROR_CHARS = 4000;

/** A serving `rondo` command in a process of its own, ready to be spoken to. */
export class RondoProcess implements AsyncDisposable {
  readonly #child: ChildProcess;
  /** What it printed after `ready `: an address or a URL. */
  readonly ready: string;
  readonly ended: Promise<ProcessEnd>;

  private constructor(child: ChildProcess, ready: string) {
    this.#child = child;
    this.ready = ready;
    this.ended = new Promise((resolve) => {
      if (child.exitCode !== null || child.signalCode !== null) {
        resolve({ code: child.exitCode, signal: child.signalCode });
      } else child.once('exit', (code, signal) => resolve({ code, signal }));
    });
  }

  /**
   * Runs `command ...args` and waits for its `ready` line.
   * @throws RondoError ENGINE_FAILED with the end of its standard error when it stops before, or is not ready in time.
   */
  static async start(
    command: string,
    args: readonly string[],
    { signal, log }: RondoProcessOptions = {},
  ): Promise<RondoProcess> {
    const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'], ...(signal && { signal }) });
    let errors = '';
    if (log !== undefined) child.stderr.pipe(createWriteStream(log, { flags: 'a' }));
    child.stderr.on('data', (data: Buffer) => {
      errors = (errors + data.toString()).slice(-ERROR_CHARS);
    });
    const { promise, resolve, reject } = Promise.withResolvers<string>();
    const fail = (how: string, cause?: unknown) =>
      reject(new RondoError('ENGINE_FAILED', `rondo ${args.join(' ')} ${how}:\n${errors}`, { cause }));
    child.on('error', (error) => fail('could not be run', error));
    child.once('exit', (code) => fail(`ended with ${code} before it was ready`));
    const expiry = setTimeout(() => fail(`was not ready within ${START_MS} ms`), START_MS);
    createInterface({ input: child.stdout }).on('line', (line) => {
      const match = /^ready (\S+)/.exec(line);
      if (match) resolve(match[1]!);
    });
    try {
      return new RondoProcess(child, await promise);
    } catch (error) {
      child.kill('SIGKILL');
      throw error;
    } finally {
      clearTimeout(expiry);
    }
  }

  get pid(): number {
    return this.#child.pid!;
  }

  kill(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  /** Asks it to end and waits for that. */
  async stop(): Promise<ProcessEnd> {
    this.#child.kill('SIGTERM');
    return await this.ended;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }
}

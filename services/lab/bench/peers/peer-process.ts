import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface, type Interface } from 'node:readline';
import { RondoError } from '@rondo/core';

/** What an engine is asked for: every prompt in one go, all of one length, then `generate` greedy tokens of each. */
export interface DecodeRequest {
  readonly prompts: readonly (readonly number[])[];
  readonly generate: number;
}

export interface DecodeTimes {
  readonly prefillMs: number;
  /** Of `generate` decode steps after the prompt. */
  readonly decodeMs: number;
  /** Of decodeMs, what was spent inside the graph runtime, where that is known. */
  readonly decodeRunMs?: number;
  /** Of the engine's process, after the last step. */
  readonly residentBytes: number;
}

type Answer = { readonly ready: true } | { readonly error: string } | DecodeTimes;

const LINE = 'bench ';
const ERROR_CHARS = 2000;

/**
 * An engine in a process of its own: reads one JSON request a line and answers each with one line, `bench ` and JSON;
 * the first answer says that it has loaded. It computes only while it owes an answer.
 */
export class PeerProcess {
  readonly #child: ChildProcess;
  readonly #lines: Interface;
  readonly #name: string;
  #errors = '';

  private constructor(name: string, child: ChildProcess) {
    this.#name = name;
    this.#child = child;
    this.#lines = createInterface({ input: child.stdout! });
    // A pipe that breaks says less than the exit that broke it.
    child.stdin!.on('error', () => {});
    // Whoever awaits an answer hears of it; without this listener the end of the signal would end this process too.
    child.on('error', () => {});
    child.stderr!.on('data', (data: Buffer) => {
      this.#errors = (this.#errors + data.toString()).slice(-ERROR_CHARS);
    });
  }

  /**
   * Starts `command` and waits until its model is loaded; `name` is for messages.
   * @throws RondoError ENGINE_FAILED with the end of its standard error when it ends before.
   */
  static async start(name: string, command: readonly string[], signal: AbortSignal): Promise<PeerProcess> {
    const [file, ...args] = command;
    const child = spawn(file!, args, { stdio: ['pipe', 'pipe', 'pipe'], signal });
    const peer = new PeerProcess(name, child);
    try {
      await peer.#answer();
      return peer;
    } catch (error) {
      child.kill('SIGKILL');
      throw error;
    }
  }

  /** @throws RondoError ENGINE_FAILED with the engine's own words when it cannot. */
  async decode(request: DecodeRequest, options: object = {}): Promise<DecodeTimes> {
    this.#child.stdin!.write(`${JSON.stringify({ ...request, ...options })}\n`);
    return (await this.#answer()) as DecodeTimes;
  }

  /** Lets it end by itself, as its input does. */
  async stop(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const exited = once(this.#child, 'exit');
    this.#child.stdin!.end();
    await exited;
  }

  async #answer(): Promise<Answer> {
    const { promise, resolve, reject } = Promise.withResolvers<Answer>();
    const onLine = (line: string) => {
      if (line.startsWith(LINE)) resolve(JSON.parse(line.slice(LINE.length)) as Answer);
    };
    const onExit = (code: number | null, signal: string | null) =>
      reject(this.#failed(`ended with ${code ?? signal}: ${this.#errors.trim()}`));
    const onError = (error: Error) => reject(this.#failed(error.message));
    this.#lines.on('line', onLine);
    this.#child.once('exit', onExit).once('error', onError);
    try {
      const answer = await promise;
      if ('error' in answer) throw this.#failed(answer.error);
      return answer;
    } finally {
      this.#lines.off('line', onLine);
      this.#child.off('exit', onExit).off('error', onError);
    }
  }

  #failed(reason: string): RondoError {
    return new RondoError('ENGINE_FAILED', `${this.#name}: ${reason}`);
  }
}

import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import type { EngineFault } from './faulty-engine.ts';
import type { RowLie, TokenLie } from './lies.ts';

const PROCESS = new URL('./bad-worker-process.ts', import.meta.url).pathname;

export type Misdeed = EngineFault | TokenLie | RowLie | 'nothing';

/** A worker in a process of its own that works well until it is told otherwise. */
export class BadWorker implements AsyncDisposable {
  /** Where it listens. */
  readonly ready: string;
  readonly #child: ChildProcess;
  readonly #exited: Promise<unknown>;

  private constructor(child: ChildProcess, ready: string) {
    this.#child = child;
    this.ready = ready;
    this.#exited = once(child, 'exit');
  }

  /** `hangMs`: how long one of its runs may last before it ends. */
  static async start(bundle: string, hangMs?: number): Promise<BadWorker> {
    const child = fork(PROCESS, [bundle, ...(hangMs === undefined ? [] : [String(hangMs)])]);
    const [{ address }] = (await once(child, 'message')) as [{ address: string }];
    return new BadWorker(child, address);
  }

  /** From now on it does that, `nothing`: no wrong any more. */
  async misbehave(misdeed: Misdeed): Promise<void> {
    const done = once(this.#child, 'message');
    this.#child.send(misdeed);
    await done;
  }

  /** Resolves when its process has ended: with its exit code, or the signal that ended it. */
  async exited(): Promise<number | NodeJS.Signals> {
    const [code, signal] = (await this.#exited) as [number | null, NodeJS.Signals | null];
    return code ?? signal!;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.#exited;
  }
}

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

  static async start(bundle: string): Promise<BadWorker> {
    const child = fork(PROCESS, [bundle]);
    const [{ address }] = (await once(child, 'message')) as [{ address: string }];
    return new BadWorker(child, address);
  }

  /** From now on it does that, `nothing`: no wrong any more. */
  async misbehave(misdeed: Misdeed): Promise<void> {
    const done = once(this.#child, 'message');
    this.#child.send(misdeed);
    await done;
  }

  /** Resolves when its process has ended. */
  async exited(): Promise<void> {
    await this.#exited;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.#exited;
  }
}

import { setTimeout as delay } from 'node:timers/promises';
import type { Bundle } from '@rondo/bundle';
import { LoadClient } from '../load/load-client.ts';
import { Scrape } from '../load/scrape.ts';
import type { RondoProcess } from './rondo-process.ts';
import type { SuiteContext } from './suite.ts';

export type Policy = 'static' | 'sequence' | 'depth' | 'together';

export const KV_MB = 1024;

/** One worker with one policy and its coordinator: in one process, whose metrics tell of both, or each in its own. */
export class DepthServer implements AsyncDisposable {
  readonly policy: Policy;
  readonly url: string;
  readonly worker: RondoProcess;
  readonly client: LoadClient;
  readonly coordinator: RondoProcess;

  private constructor(policy: Policy, worker: RondoProcess, coordinator: RondoProcess, model: string) {
    this.policy = policy;
    this.worker = worker;
    this.coordinator = coordinator;
    this.url = coordinator.ready.replace(/\/$/, '');
    this.client = new LoadClient({ url: this.url, model });
  }

  static async together(context: SuiteContext, bundle: Bundle, policy: Policy): Promise<DepthServer> {
    const process = await context.launch(
      ...[
        'run',
        '--model',
        bundle.directory,
        '--listen',
        '127.0.0.1:0',
        '--workers',
        '1',
        '--policy',
        policy,
      ],
      ...['--threads', String(context.threads), '--kv-mb', String(KV_MB)],
    );
    return new DepthServer(policy, process, process, bundle.manifest.name);
  }

  /** @param more options of the coordinator */
  static async apart(
    context: SuiteContext,
    bundle: Bundle,
    policy: Policy,
    more: readonly string[] = [],
  ): Promise<DepthServer> {
    const { directory, manifest } = bundle;
    const worker = await context.launch(
      ...['worker', '--model', directory, '--listen', '127.0.0.1:0', '--policy', policy],
      ...['--threads', String(context.threads), '--kv-mb', String(KV_MB)],
    );
    try {
      const coordinator = await context.launch(
        ...['coordinator', '--model', directory, '--listen', '127.0.0.1:0', '--worker', worker.ready],
        ...more,
      );
      return new DepthServer(policy, worker, coordinator, manifest.name);
    } catch (error) {
      await worker.stop();
      throw error;
    }
  }

  /** Resolves when no sequence is left: whoever was broken off has given back its pages. */
  async idle(signal: AbortSignal): Promise<void> {
    for (;;) {
      const scrape = await Scrape.of(this.url);
      if (scrape.sum('rondo_sequences_running') + scrape.sum('rondo_sequences_waiting') === 0) return;
      await delay(50, undefined, { signal });
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.client.close();
    await this.coordinator.stop();
    await this.worker.stop();
  }
}

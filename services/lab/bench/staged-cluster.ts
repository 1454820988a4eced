import { LoadClient } from '../load/load-client.ts';
import { freePort } from './chaos/free-port.ts';
import type { RondoProcess } from './rondo-process.ts';
import type { SuiteContext } from './suite.ts';

/** Runs `count` workers of the bundle, each a process with a timed engine, as long as `use` takes. */
export async function withWorkers<Result>(
  context: SuiteContext,
  directory: string,
  count: number,
  [passMs, rowMs]: readonly [number, number],
  use: (workers: readonly StagedWorker[]) => Promise<Result>,
): Promise<Result> {
  const processes: RondoProcess[] = [];
  const workers: StagedWorker[] = [];
  try {
    while (processes.length < count) {
      context.signal.throwIfAborted();
      const admin = `127.0.0.1:${await freePort()}`;
      processes.push(
        await context.launch(
          ...[
            'worker',
            '--model',
            directory,
            '--listen',
            '127.0.0.1:0',
            '--engine',
            'timed',
            '--kv-mb',
            '64',
          ],
          ...['--timed-pass-ms', String(passMs), '--timed-row-ms', String(rowMs)],
          ...['--activations', 'f16', '--admin', admin],
        ),
      );
      workers.push({ address: processes.at(-1)!.ready, metrics: `http://${admin}` });
    }
    return await use(workers);
  } finally {
    await Promise.all(processes.map((process) => process.stop()));
  }
}

export interface StagedWorker {
  readonly address: string;
  /** URL of its admin port. */
  readonly metrics: string;
}

export interface StagedSetting {
  readonly directory: string;
  readonly model: string;
  readonly workers: readonly StagedWorker[];
  readonly placement: 'homed' | 'staged';
}

/** A coordinator of its own over the workers given. */
export async function withClient<Result>(
  context: SuiteContext,
  { directory, model, workers, placement }: StagedSetting,
  use: (client: LoadClient) => Promise<Result>,
): Promise<Result> {
  await using coordinator = await context.launch(
    ...['coordinator', '--model', directory, '--listen', '127.0.0.1:0', '--placement', placement],
    ...workers.flatMap(({ address }) => ['--worker', address]),
  );
  const client = new LoadClient({ url: coordinator.ready.replace(/\/$/, ''), model });
  try {
    return await use(client);
  } finally {
    client.close();
  }
}

import { RondoProcess } from './rondo-process.ts';

export interface ClusterOptions {
  readonly bundle: string;
  readonly workers: number;
  readonly placement: 'auto' | 'homed' | 'staged';
  /** More options of each worker. */
  readonly workerOptions?: readonly string[];
  /** More options of the coordinator. */
  readonly coordinatorOptions?: readonly string[];
}

/** Workers and a coordinator as real processes on loopback, one engine thread each. */
export class Cluster implements AsyncDisposable {
  readonly url: string;
  readonly workers: readonly RondoProcess[];
  readonly #coordinator: RondoProcess;

  private constructor(coordinator: RondoProcess, workers: readonly RondoProcess[]) {
    this.#coordinator = coordinator;
    this.workers = workers;
    this.url = coordinator.ready.replace(/\/$/, '');
  }

  static async start(options: ClusterOptions): Promise<Cluster> {
    const { bundle, workers: count, placement, workerOptions = [], coordinatorOptions = [] } = options;
    const start = () =>
      RondoProcess.start(
        'worker',
        '--model',
        bundle,
        '--listen',
        '127.0.0.1:0',
        '--threads',
        '1',
        '--kv-mb',
        '64',
        ...workerOptions,
      );
    const workers = await Promise.all(Array.from({ length: count }, start));
    const addresses = workers.flatMap((worker) => ['--worker', worker.ready]);
    const coordinator = await RondoProcess.start(
      ...['coordinator', '--model', bundle, '--listen', '127.0.0.1:0', '--placement', placement],
      ...addresses,
      ...coordinatorOptions,
    );
    return new Cluster(coordinator, workers);
  }

  async post(path: string, body: unknown, headers: Record<string, string> = {}): Promise<Response> {
    return fetch(`${this.url}${path}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...headers },
      body: JSON.stringify(body),
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#coordinator.stop();
    await Promise.all(this.workers.map((worker) => worker.stop()));
  }
}

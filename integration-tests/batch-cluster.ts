import OpenAI, { toFile } from 'openai';
import { NatsServer } from './nats-server.ts';
import { RondoProcess } from './rondo-process.ts';
import { TinyBundle } from './tiny-bundle.ts';

export interface BatchClusterOptions {
  readonly workers: number;
  readonly coordinators: number;
  /** More options of each coordinator. */
  readonly options?: readonly string[];
  /** More options of each worker. */
  readonly workerOptions?: readonly string[];
}

/** Workers, and coordinators that share a NATS server, as real processes; each can be killed and started again. */
export class BatchCluster implements AsyncDisposable {
  readonly nats: NatsServer;
  readonly coordinators: RondoProcess[] = [];
  readonly workers: RondoProcess[] = [];
  readonly #bundle: TinyBundle;
  readonly #options: Pick<BatchClusterOptions, 'options' | 'workerOptions'>;

  private constructor(nats: NatsServer, bundle: TinyBundle, options: BatchClusterOptions) {
    this.nats = nats;
    this.#bundle = bundle;
    this.#options = options;
  }

  static async start(options: BatchClusterOptions): Promise<BatchCluster> {
    const cluster = new BatchCluster(await NatsServer.start(), await TinyBundle.make(2), options);
    const { workers, coordinators } = options;
    const each = (count: number, start: (index: number) => Promise<void>) =>
      Promise.all(Array.from({ length: count }, (_, index) => start(index)));
    try {
      await each(workers, (index) => cluster.startWorker(index));
      await each(coordinators, (index) => cluster.startCoordinator(index));
      return cluster;
    } catch (error) {
      await cluster[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Starts a worker, or one that was killed again at the address it had. */
  async startWorker(index: number): Promise<void> {
    const listen = this.workers[index]?.ready ?? '127.0.0.1:0';
    const options = [
      '--model',
      this.#bundle.directory,
      '--listen',
      listen,
      '--threads',
      '1',
      '--kv-mb',
      '64',
      ...(this.#options.workerOptions ?? []),
    ];
    this.workers[index] = await RondoProcess.start('worker', ...options);
  }

  async startCoordinator(index: number): Promise<void> {
    const known = this.coordinators[index]?.ready;
    const listen = known === undefined ? '127.0.0.1:0' : new URL(known).host;
    this.coordinators[index] = await RondoProcess.start(
      ...['coordinator', '--model', this.#bundle.directory, '--listen', listen, '--nats', this.nats.url],
      ...this.workers.flatMap(({ ready }) => ['--worker', ready]),
      ...(this.#options.options ?? []),
    );
  }

  url(index: number): string {
    return this.coordinators[index]!.ready.replace(/\/$/, '');
  }

  /** The official client, at one of the coordinators. */
  client(index = 0, apiKey = 'unused'): OpenAI {
    return new OpenAI({ baseURL: `${this.url(index)}/v1`, apiKey, maxRetries: 0 });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.coordinators.map((coordinator) => coordinator.stop()));
    await Promise.all(this.workers.map((worker) => worker.stop()));
    await this.nats[Symbol.asyncDispose]();
    await this.#bundle[Symbol.asyncDispose]();
  }
}

/** Uploads lines as the input of a batch. */
export const upload = async (client: OpenAI, lines: readonly unknown[]): Promise<OpenAI.FileObject> => {
  const text = lines.map((line) => (typeof line === 'string' ? line : JSON.stringify(line))).join('\n');
  return client.files.create({ file: await toFile(Buffer.from(text), 'input.jsonl'), purpose: 'batch' });
};

/** A line for /v1/completions; `fields` are those of the body. */
export const completionLine = (customId: string, fields: object = {}) => ({
  custom_id: customId,
  method: 'POST',
  url: '/v1/completions',
  body: {
    model: 'tiny',
    prompt: `The ${customId}`,
    max_tokens: 8,
    temperature: 0,
    ignore_eos: true,
    ...fields,
  },
});

/** Asks for the batch until `is` holds; the test's own time limit ends the wait. What fails on the way is asked again. */
export async function batchWhen(
  client: OpenAI,
  id: string,
  is: (batch: OpenAI.Batch) => boolean,
): Promise<OpenAI.Batch> {
  for (;;) {
    const batch = await client.batches.retrieve(id).catch((error: unknown) => {
      // A process or the server was killed on purpose.
      if (error instanceof OpenAI.APIConnectionError || error instanceof OpenAI.InternalServerError) return;
      throw error;
    });
    if (batch !== undefined && is(batch)) return batch;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

export const isOver = ({ status }: OpenAI.Batch): boolean =>
  ['completed', 'failed', 'expired', 'cancelled'].includes(status);

/** The lines of an output or error file; none without a file. */
export async function outputLines(client: OpenAI, fileId: string | null | undefined) {
  if (!fileId) return [];
  const text = await (await client.files.content(fileId)).text();
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as OutputLine);
}

export interface OutputLine {
  readonly id: string;
  readonly custom_id: string;
  readonly response: {
    readonly status_code: number;
    readonly request_id: string;
    // biome-ignore lint/suspicious/noExplicitAny: the tests say what they expect in it
    readonly body: any;
  } | null;
  readonly error: { readonly code: string; readonly message: string } | null;
}

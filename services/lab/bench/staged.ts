import { closedLoop } from '../load/closed-loop.ts';
import { LoadClient } from '../load/load-client.ts';
import { median } from '../load/quantile.ts';
import { RandomStream } from '../load/random-stream.ts';
import { type RequestRecord, timeToFirstToken } from '../load/request-record.ts';
import { Workload, type WorkloadOptions } from '../load/workload.ts';
import type { RondoProcess } from './rondo-process.ts';
import { type StagedSample, stagedGoals, stagedPlots, stagedRows } from './staged-report.ts';
import type { Suite, SuiteContext, SuiteResult } from './suite.ts';
import { timedBundle } from './timed-bundle.ts';

const SHAPE = { name: 'timed-staged', hidden: 2048, maxDepth: 8, context: 32_768 };
const STAGES = [1, 2, 4, 8];
const PROMPTS = [512, 1024, 2048, 4096, 8192, 16_384];
const PROMPTS_QUICK = [512, 2048, 16_384];
/** A pass costs only its rows, so that an engine's work does not depend on how they are batched. */
const ROW_MS = 0.125;
const THROUGHPUT_WORKERS = 4;
/** Clients for each worker: enough that every stage has something to do. */
const DECODING_CLIENTS = 16;
const PROMPT_CLIENTS = 6;
/** Passes of the rows that leave early: five of eight on average. */
const EXITS = [8, 2, 6, 4, 5];

export const staged: Suite = {
  name: 'staged',
  summary: 'routes over 1 to 8 workers that only sleep: time to first token, throughput, idle share, hops',
  run,
};

async function run(context: SuiteContext): Promise<SuiteResult> {
  const directory = await timedBundle(context.cache, SHAPE);
  const samples = await withWorkers(context, directory, ROW_MS, (workers) =>
    busy(context, directory, workers),
  );
  // Passes that take no time leave only the hops.
  samples.push(await withWorkers(context, directory, 0, (workers) => hop(context, directory, workers)));
  const rows = stagedRows(samples);
  return { rows, goals: stagedGoals(rows, samples), plots: stagedPlots, notes: NOTES };
}

async function withWorkers<Result>(
  context: SuiteContext,
  directory: string,
  rowMs: number,
  use: (addresses: readonly string[]) => Promise<Result>,
): Promise<Result> {
  const processes: RondoProcess[] = [];
  try {
    while (processes.length < Math.max(...STAGES)) {
      context.signal.throwIfAborted();
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
          ...['--timed-pass-ms', '0', '--timed-row-ms', String(rowMs), '--activations', 'f16'],
        ),
      );
    }
    return await use(processes.map(({ ready }) => ready));
  } finally {
    await Promise.all(processes.map((process) => process.stop()));
  }
}

interface Setting {
  readonly directory: string;
  readonly workers: readonly string[];
  readonly placement: 'homed' | 'staged';
}

/** A coordinator of its own over the workers given. */
async function withClient<Result>(
  context: SuiteContext,
  { directory, workers, placement }: Setting,
  use: (client: LoadClient) => Promise<Result>,
): Promise<Result> {
  await using coordinator = await context.launch(
    ...['coordinator', '--model', directory, '--listen', '127.0.0.1:0', '--placement', placement],
    ...workers.flatMap((address) => ['--worker', address]),
  );
  const client = new LoadClient({ url: coordinator.ready.replace(/\/$/, ''), model: SHAPE.name });
  try {
    return await use(client);
  } finally {
    client.close();
  }
}

async function busy(
  context: SuiteContext,
  directory: string,
  addresses: readonly string[],
): Promise<StagedSample[]> {
  const samples: StagedSample[] = [];
  for (const count of STAGES) {
    const placement = count === 1 ? 'homed' : 'staged';
    const setting: Setting = { directory, workers: addresses.slice(0, count), placement };
    await withClient(context, setting, async (client) => {
      for (const promptTokens of context.quick ? PROMPTS_QUICK : PROMPTS) {
        context.progress(`first token of ${promptTokens} tokens, ${count} stages`);
        const ms = await firstToken(context, client, promptTokens, context.quick ? 1 : 3);
        const base = { what: 'first token', placement, workers: count, promptTokens } as const;
        samples.push({ ...base, ms, tokensPerS: Number.NaN, idle: Number.NaN });
      }
    });
  }
  const workers = addresses.slice(0, THROUGHPUT_WORKERS);
  for (const placement of ['homed', 'staged'] as const) {
    await withClient(context, { directory, workers, placement }, async (client) => {
      const base = { placement, workers: workers.length, ms: Number.NaN };
      const prompt = { promptTokens: exactly(512), outputTokens: exactly(1) };
      const output = { promptTokens: exactly(16), outputTokens: exactly(32) };
      for (const [what, load, exits] of [
        ['prompts', prompt, undefined],
        ['decoding', output, undefined],
        ['decoding, exits', output, EXITS],
      ] as const) {
        context.progress(`${what}, ${placement}`);
        const { tokensPerS, idle } = await saturated(context, client, load, workers.length, exits);
        samples.push({ ...base, what, promptTokens: load.promptTokens.least, tokensPerS, idle });
      }
    });
  }
  return samples;
}

const exactly = (count: number) => ({ least: count, most: count });

/** Median over prompts of their own, so that no cached page shortens it. The first request only opens links. */
async function firstToken(
  context: SuiteContext,
  client: LoadClient,
  promptTokens: number,
  repeats: number,
): Promise<number> {
  const random = new RandomStream(context.seed + promptTokens);
  const send = async (length: number): Promise<RequestRecord> => {
    const promptIds = Array.from({ length }, () => random.whole(1000, 40_000));
    const record = await client.send({ promptIds, maxTokens: 1, seed: 1 }, context.signal);
    context.signal.throwIfAborted();
    return record;
  };
  await send(8);
  const times: number[] = [];
  while (times.length < repeats) times.push(timeToFirstToken(await send(promptTokens)));
  return median(times);
}

/** So many clients that every stage always has something to do; the engines' work follows from what was answered. */
async function saturated(
  context: SuiteContext,
  client: LoadClient,
  load: Pick<WorkloadOptions, 'promptTokens' | 'outputTokens'>,
  workers: number,
  exits: readonly number[] | undefined,
): Promise<{ tokensPerS: number; idle: number }> {
  const clients = (load.outputTokens.most > 1 ? DECODING_CLIENTS : PROMPT_CLIENTS) * workers;
  const fields = exits && { fields: () => ({ exit_depths: exits }) };
  const ids = { first: 1000, last: 40_000 };
  const workload = new Workload({ ...load, ...fields, seed: context.seed, ids });
  const requests = (context.quick ? 3 : 8) * clients;
  const records = await closedLoop({ client, workload, clients, requests, signal: context.signal });
  context.signal.throwIfAborted();
  // While all clients were there: the first houseful starts together and the last ends together.
  const inside = records.slice(clients, records.length - clients);
  const ms = inside.at(-1)!.endedMs - records[clients - 1]!.endedMs;
  const tokens = inside.reduce((sum, { tokenMs }) => sum + tokenMs.length, 0);
  const passes = inside.reduce((sum, record) => sum + record.passes.prompt + record.passes.generated, 0);
  return { tokensPerS: (1000 * tokens) / ms, idle: 1 - (passes * ROW_MS) / (ms * workers) };
}

/** What six more stages take from a prompt of 32 rows: each adds one hop and the step that takes the rows up. */
async function hop(
  context: SuiteContext,
  directory: string,
  addresses: readonly string[],
): Promise<StagedSample> {
  const over = (count: number) =>
    withClient(context, { directory, workers: addresses.slice(0, count), placement: 'staged' }, (client) =>
      firstToken(context, client, 32, context.quick ? 50 : 200),
    );
  context.progress('hops');
  const [few, many] = [await over(2), await over(8)];
  const base = { what: 'hop', placement: 'staged', workers: 8, promptTokens: 32 } as const;
  return { ...base, ms: (many - few) / 6, tokensPerS: Number.NaN, idle: Number.NaN };
}

const NOTES = [
  `The engines are timed: they sleep ${ROW_MS} ms for each row of a pass and compute nothing, so that eight share this machine, each worker in a process of its own. The model has ${SHAPE.maxDepth} passes and states of ${SHAPE.hidden} floats, which travel as f16: 32 rows take 128 KiB, one frame. Coordinator, workers and load generator share the processors.`,
  'First token: one request at a time, with one token to answer. The ideal speed-up of C chunks of 64 rows over n equal stages is n·C / (C + n − 1): the last chunk leaves when C + n − 1 of them could have gone through one stage.',
  `Prompts, decoding: ${PROMPT_CLIENTS} and ${DECODING_CLIENTS} clients for each of ${THROUGHPUT_WORKERS} workers, each sending its next request when the last has ended; staged against homed over as many workers. Idle is the part of the engines' time that the passes in the answers do not account for, so it holds hops, batching and timers alike. With exits, rows leave after ${EXITS.join(', ')} passes in turn; the stages behind only project their K and V.`,
  'Hop: the passes take no time here; it is a sixth of what eight stages take longer than two for a prompt of 32 rows, with the step that takes the rows up and settles them.',
];

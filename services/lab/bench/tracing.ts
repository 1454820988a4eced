import { randomBytes } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { type Bundle, openBundle } from '@rondo/bundle';
import { RondoError } from '@rondo/core';
import { closedLoop } from '../load/closed-loop.ts';
import { LoadClient } from '../load/load-client.ts';
import { summarize } from '../load/load-summary.ts';
import { processCpuMs } from '../load/process-cpu.ts';
import { Scrape } from '../load/scrape.ts';
import { Workload, type WorkloadOptions } from '../load/workload.ts';
import { benchBundle } from './bench-bundle.ts';
import { LOOPED } from './depth-bundle.ts';
import type { RondoProcess } from './rondo-process.ts';
import { SpanSink } from './span-sink.ts';
import type { Suite, SuiteContext, SuiteResult } from './suite.ts';
import {
  certainty,
  type Model,
  type Share,
  sharesOf,
  type TracingTurn,
  tracingGoals,
  tracingRows,
} from './tracing-report.ts';

const CLIENTS = 16;
const RAMP_MS = 1000;
/** What was traced leaves within a second; the next turn must not pay for it. */
const PAUSE_MS = 1000;
/** The model that ships with Rondo. */
const SMALL = new URL('../../../models/built-in', import.meta.url).pathname;
/** Fewer in a window say nothing of a percent. */
const TOKENS_MIN = 100;

/** What traces cost, on one server a model, in turns. */
export const tracing: Suite = {
  name: 'tracing',
  summary: 'throughput and processor time with no request traced, 1 % and all, in turns on one server',
  run,
};

interface Subject {
  readonly model: Model;
  readonly bundle: Bundle;
  readonly ids: WorkloadOptions['ids'];
  readonly rounds: number;
  readonly windowMs: number;
}

async function run(context: SuiteContext): Promise<SuiteResult> {
  const { quick } = context;
  const turns: TracingTurn[] = [];
  const subjects: Subject[] = [
    {
      ...{ model: 'small', bundle: await openBundle(SMALL), ids: { first: 10, last: 700 } },
      ...{ rounds: quick ? 24 : 60, windowMs: 2000 },
    },
    {
      ...{ model: 'large', bundle: await benchBundle(context, LOOPED), ids: { first: 1000, last: 40_000 } },
      ...{ rounds: quick ? 3 : 9, windowMs: 4000 },
    },
  ];
  for (const subject of subjects) turns.push(...(await turnsOf(context, subject)));
  const rows = tracingRows(turns);
  return { rows, goals: tracingGoals(turns), plots: [], notes: [...notes(subjects), certainty(turns)] };
}

async function turnsOf(context: SuiteContext, subject: Subject): Promise<TracingTurn[]> {
  const { model, bundle, rounds } = subject;
  await using sink = await SpanSink.open();
  await using server = await context.launch(
    ...['run', '--model', bundle.directory, '--listen', '127.0.0.1:0', '--workers', '1', '--kv-mb', '512'],
    ...['--threads', String(context.threads)],
    ...['--otlp-endpoint', sink.url, '--otlp-protocol', 'http/protobuf'],
  );
  const load = new TracedLoad(context, server, sink, subject);
  const turns: TracingTurn[] = [];
  await load.turn(0, 0);
  for (let round = 0; round < rounds; round++) {
    for (const share of sharesOf(round)) {
      context.progress(`${model} model, round ${round + 1} of ${rounds}, ${100 * share} % traced`);
      turns.push(await load.turn(round, share));
    }
  }
  load.close();
  return turns;
}

/** A closed loop whose clients say themselves which of their requests are traced: one server runs all turns. */
class TracedLoad {
  readonly #context: SuiteContext;
  readonly #server: RondoProcess;
  readonly #sink: SpanSink;
  readonly #client: LoadClient;
  readonly #workload: Workload;
  readonly #subject: Subject;
  #sent = 0;

  constructor(context: SuiteContext, server: RondoProcess, sink: SpanSink, subject: Subject) {
    this.#context = context;
    this.#server = server;
    this.#sink = sink;
    this.#subject = subject;
    this.#client = new LoadClient({ url: this.#url, model: subject.bundle.manifest.name });
    this.#workload = new Workload({
      seed: context.seed,
      promptTokens: { least: 8, most: 32 },
      outputTokens: { least: 32, most: 64 },
      ids: subject.ids,
    });
  }

  get #url(): string {
    return this.#server.ready.replace(/\/$/, '');
  }

  close(): void {
    this.#client.close();
  }

  async turn(round: number, share: Share): Promise<TracingTurn> {
    const { model, windowMs } = this.#subject;
    const stop = new AbortController();
    const signal = AbortSignal.any([stop.signal, this.#context.signal]);
    const workload = {
      request: (index: number) => ({
        ...this.#workload.request(index),
        headers: { traceparent: parent(share, index) },
      }),
    };
    const before = await this.#spans();
    const running = closedLoop({
      client: this.#client,
      workload,
      clients: CLIENTS,
      first: this.#sent,
      signal,
    });
    await delay(RAMP_MS, undefined, { signal });
    const [fromMs, fromCpuMs] = [performance.now(), await processCpuMs(this.#server.pid)];
    await delay(windowMs, undefined, { signal });
    const [toMs, toCpuMs] = [performance.now(), await processCpuMs(this.#server.pid)];
    stop.abort();
    const records = await running;
    this.#sent += records.length;
    await delay(PAUSE_MS, undefined, { signal: this.#context.signal });
    const after = await this.#spans();
    const { tokens, steadyTokensPerS, gapMs, failed, refused } = summarize(records, { fromMs, toMs });
    if (tokens < TOKENS_MIN) {
      const found = `${tokens} tokens came in ${windowMs / 1000} s`;
      throw new RondoError('ENGINE_FAILED', `${found}: too few to compare by; leave the machine to this run`);
    }
    return {
      model,
      round,
      share,
      tokens,
      tokensPerS: steadyTokensPerS,
      cpuMs: toCpuMs - fromCpuMs,
      requests: records.length,
      gapP50Ms: gapMs.p50,
      failed: failed + refused,
      spans: after.exported - before.exported,
      lost: after.lost - before.lost,
      bytes: after.bytes - before.bytes,
    };
  }

  async #spans(): Promise<{ readonly exported: number; readonly lost: number; readonly bytes: number }> {
    const scrape = await Scrape.of(this.#url);
    const of = (outcome: string) => scrape.sum('rondo_trace_spans_total', `outcome="${outcome}"`);
    return { exported: of('exported'), lost: of('dropped') + of('failed'), bytes: this.#sink.bytes };
  }
}

/** A client's context that samples a share of the requests: at 1 % every hundredth. */
function parent(share: Share, index: number): string {
  const sampled = share > 0 && index % Math.round(1 / share) === 0;
  return `00-${randomBytes(16).toString('hex')}-${randomBytes(8).toString('hex')}-${sampled ? '01' : '00'}`;
}

const notes = (subjects: readonly Subject[]): string[] => [
  `The small model is the one that ships with Rondo, where the processors have hardly more to do than coordinator and worker: what traces cost it is the most they can cost any. The large one is SmolLM2-135M-Instruct, int4, layers 1 to 28 twice. One worker, ${CLIENTS} clients with streamed completions of 32 to 64 tokens, each sending its next when its last has ended. Which requests are traced their clients say in \`traceparent\`, so that one server runs all turns: ${subjects.map(({ model, rounds, windowMs }) => `${rounds} rounds of turns of ${windowMs / 1000} s (${model})`).join(', ')}, one without and one with 1 %, either first in its turn, and in every third round one with all; losses are medians against the turn of the same round without tracing. Spans leave over HTTP to a receiver in the load generator that only counts bytes.`,
  'Spans are those of requests and of steps; a turn breaks off its last requests, whose spans are counted though their last tokens are not. Those that find the line of waiting spans full are dropped and counted, so that nobody waits for them. Server µs/token is all processor time of coordinator, worker and engine in one process.',
];

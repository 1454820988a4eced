import { randomUUID } from 'node:crypto';
import { RondoError, type SequenceId, sequenceId } from '@rondo/core';
import type { FastifyReply } from 'fastify';
import type { AnswerListener } from './answer-listener.ts';
import type { AnswerPlan, ChoicePlan } from './answer-plan.ts';
import { Choice, type ChoiceDelta } from './choice.ts';
import { Detokenizer } from './detokenizer.ts';
import type { ModelService } from './model-service.ts';
import type { WhenFull } from './sequence-life.ts';
import { StopStrings } from './stop-strings.ts';
import { StreamedAnswer } from './streamed-answer.ts';
import { WholeAnswer } from './whole-answer.ts';

/**
 * Generates all choices side by side and answers, whole or as a stream. A client that leaves ends its sequences at once.
 * @throws RondoError whatever failed before anything was sent; OVERLOADED when the coordinator is full.
 */
export async function answer(
  service: ModelService,
  plan: AnswerPlan,
  reply: FastifyReply,
  listener?: AnswerListener,
): Promise<unknown> {
  const admitted = service.admission.enter();
  const abort = new AbortController();
  reply.raw.once('close', () => {
    if (!reply.raw.writableFinished) abort.abort();
  });
  const streamed = plan.stream ? new StreamedAnswer(plan, reply) : undefined;
  const told = streamed ?? new WholeAnswer(plan);
  let failure: unknown;
  try {
    await sideBySide(service, plan.choices, abort, (index, delta) => {
      listener?.hear(index, delta);
      return told.hear(index, delta);
    });
    return told.end();
  } catch (thrown) {
    const left = reply.sent && reply.raw.destroyed;
    if (left) return reply;
    failure = thrown;
    if (!reply.sent) throw thrown;
    // The client is told within the stream; nobody further up can answer it any more.
    streamed?.fail(thrown);
    const error = RondoError.from(thrown);
    if (error.code !== 'CANCELLED') {
      const { id: requestId, traceId } = reply.request;
      service.log.error({ err: thrown, requestId, traceId }, 'a stream broke off');
    }
    return reply;
  } finally {
    admitted.leave();
    listener?.end(failure);
  }
}

/**
 * Generates the choices one after another and answers whole, for whoever has time: no choice ever waits in line before an interactive one.
 * @throws RondoError whatever failed; OVERLOADED, KV_EXHAUSTED or NO_WORKER when it cannot run now, CANCELLED when `signal` is raised
 */
export async function answerLater(
  service: ModelService,
  plan: AnswerPlan,
  signal: AbortSignal,
  hooks: LaterHooks,
): Promise<object> {
  const whole = new WholeAnswer(plan);
  await runLater(service, plan, signal, (index, delta) => whole.hear(index, delta), hooks);
  return whole.end();
}

export interface LaterHooks {
  /** Told when workers have taken a choice, and when it has ended. */
  readonly running?: (runs: boolean) => void;
  /** Listens, and is told of the end. */
  readonly listener: AnswerListener;
}

/** The same, told in pieces, choice by choice. */
export async function runLater(
  service: ModelService,
  plan: AnswerPlan,
  signal: AbortSignal,
  hear: AnswerListener['hear'],
  { running, listener }: LaterHooks,
): Promise<void> {
  const requestId = randomUUID();
  let failure: unknown;
  try {
    for (const [index, choice] of plan.choices.entries()) {
      const run = {
        id: sequenceId(`${requestId}.${index}`),
        signal,
        whenFull: 'refuse',
        opened: () => running?.(true),
      } as const;
      await runChoice(service, choice, run, (delta) => {
        listener.hear(index, delta);
        hear(index, delta);
        return undefined;
      });
      running?.(false);
    }
  } catch (thrown) {
    failure = thrown;
    throw thrown;
  } finally {
    listener.end(failure);
  }
}

/** Takes the deltas of a choice in order. A promise asks to wait for it before the next. */
type Hear<Told extends readonly unknown[]> = (...told: Told) => Promise<void> | undefined;

/** Generates all choices at once. The first failure ends the others, and is thrown once all have ended. */
async function sideBySide(
  service: ModelService,
  choices: readonly ChoicePlan[],
  abort: AbortController,
  hear: Hear<[index: number, delta: ChoiceDelta]>,
): Promise<void> {
  const requestId = randomUUID();
  const failures: unknown[] = [];
  const run = async (choice: ChoicePlan, index: number) => {
    const id = sequenceId(`${requestId}.${index}`);
    const { signal } = abort;
    try {
      await runChoice(service, choice, { id, signal, whenFull: 'wait' }, (delta) => hear(index, delta));
    } catch (thrown) {
      failures.push(thrown);
      abort.abort();
    }
  };
  await Promise.all(choices.map(run));
  if (failures.length > 0) throw failures[0];
}

interface ChoiceRun {
  readonly id: SequenceId;
  readonly signal: AbortSignal;
  readonly whenFull: WhenFull;
  /** Called when workers have taken it. */
  readonly opened?: () => void;
}

/**
 * One choice from its prompt to its end. From a worker's message to the client's socket each token goes through this one loop, and all
 * below it but `generation` is plain calls: with tens of thousands of tokens a second every promise shows.
 */
async function runChoice(
  service: ModelService,
  { request, stops }: ChoicePlan,
  { id, signal, whenFull, opened }: ChoiceRun,
  hear: Hear<[delta: ChoiceDelta]>,
): Promise<void> {
  const choice = new Choice({
    detokenizer: service.codec && new Detokenizer(service.codec),
    stops: new StopStrings(stops),
    stopIds: request.stopIds,
    promptLength: request.promptIds.length,
    promptDepth: service.model.manifest.maxDepth,
  });
  for await (const event of service.generation.run(id, request, signal, whenFull)) {
    if (event.type === 'opened') opened?.();
    const delta = choice.take(event);
    if (delta === undefined) continue;
    const pace = hear(delta);
    if (pace !== undefined) await pace;
    if (delta.end !== undefined) return;
  }
}

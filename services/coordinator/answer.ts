import { randomUUID } from 'node:crypto';
import type { Logger } from '@rondo/chassis';
import { RondoError, type SequenceId, sequenceId } from '@rondo/core';
import type { GenerateStreamEvent } from '@rondo/wire';
import type { FastifyReply } from 'fastify';
import type { Admission } from './admission.ts';
import {
  type ChoiceDelta,
  type ChoiceEnd,
  type ChoiceToken,
  choiceDeltas,
  type PromptToken,
} from './choice.ts';
import { Detokenizer } from './detokenizer.ts';
import type { Generation } from './generation.ts';
import type { ModelFacts } from './generation-fields.ts';
import { merge } from './merge.ts';
import type { SequenceRequest, WhenFull } from './sequence-life.ts';
import { sendEvents } from './sse.ts';
import { StopStrings } from './stop-strings.ts';
import type { TextCodec } from './text.ts';
import { type Usage, usageOf } from './usage.ts';

/** What the generating endpoints work with. */
export interface Kitchen {
  readonly model: ModelFacts;
  readonly codec: TextCodec | undefined;
  readonly admission: Admission;
  readonly generation: Generation;
  readonly log: Logger;
}

/** One choice to generate; its place in the list is its index in the answer. */
export interface ChoicePlan {
  readonly request: SequenceRequest;
  readonly stops: readonly string[];
}

/** A choice once all of it is there. */
export interface WholeChoice {
  readonly text: string;
  readonly tokens: readonly ChoiceToken[];
  readonly promptTokens: readonly PromptToken[];
  readonly end: ChoiceEnd;
}

/** How an endpoint words its answer. */
export interface AnswerWords {
  /** Chunks of choice `index` sent before its first text. */
  opening(index: number): object[];
  /** The chunk of one delta; undefined sends none. */
  chunk(index: number, delta: ChoiceDelta): object | undefined;
  /** The last chunk, sent when the client asked for usage. */
  usageChunk(usage: Usage): object;
  whole(choices: readonly WholeChoice[], usage: Usage): object;
}

export interface AnswerPlan {
  readonly choices: readonly ChoicePlan[];
  /** Tokens of all prompts, each counted once. */
  readonly promptTokens: number;
  readonly stream: boolean;
  readonly includeUsage: boolean;
  readonly words: AnswerWords;
}

/**
 * Generates all choices side by side and answers, whole or as a stream. A client that leaves ends its sequences at once.
 * @throws RondoError whatever failed before anything was sent; OVERLOADED when the coordinator is full.
 */
export async function answer(
  kitchen: Kitchen,
  plan: AnswerPlan,
  reply: FastifyReply,
  witness?: Witness,
): Promise<unknown> {
  const admitted = kitchen.admission.enter();
  const abort = new AbortController();
  reply.raw.once('close', () => {
    if (!reply.raw.writableFinished) abort.abort();
  });
  let failure: unknown;
  try {
    const running = runChoices(kitchen, plan.choices, abort);
    const deltas = witness === undefined ? running : heardBy(witness, running);
    if (!plan.stream) return await collect(plan, deltas);
    await sendEvents(reply, chunks(plan, deltas));
    return reply;
  } catch (thrown) {
    failure = thrown;
    abort.abort();
    if (!reply.sent) throw thrown;
    // The client has been told within the stream; nobody further up can answer it any more.
    const error = RondoError.from(thrown);
    if (error.code !== 'CANCELLED') {
      const { id: requestId, traceId } = reply.request;
      kitchen.log.error({ err: thrown, requestId, traceId }, 'a stream broke off');
    }
    return reply;
  } finally {
    admitted.leave();
    witness?.end(failure);
  }
}

/** Whoever listens to an answer beside the client. */
export interface Witness {
  hear(index: number, delta: ChoiceDelta): void;
  /** The answer has ended: whole, left by its client, or by this failure. */
  end(failure?: unknown): void;
}

/** Two that listen to one answer. */
export const bothOf = (one: Witness, other: Witness | undefined): Witness =>
  other === undefined
    ? one
    : {
        hear(index, delta) {
          one.hear(index, delta);
          other.hear(index, delta);
        },
        end(failure) {
          one.end(failure);
          other.end(failure);
        },
      };

async function* heardBy(
  witness: Witness,
  deltas: AsyncIterable<IndexedDelta>,
): AsyncGenerator<IndexedDelta, void, undefined> {
  for await (const indexed of deltas) {
    witness.hear(indexed.index, indexed.delta);
    yield indexed;
  }
}

/**
 * Generates the choices one after another and answers whole, for whoever has time: no choice ever waits in line before an interactive one.
 * @param running told when workers have taken a choice, and when it has ended
 * @param witness listens, and is told of the end
 * @throws RondoError whatever failed; OVERLOADED, KV_EXHAUSTED or NO_WORKER when it cannot run now, CANCELLED when `signal` is raised
 */
export const answerLater = (
  kitchen: Kitchen,
  plan: AnswerPlan,
  signal: AbortSignal,
  running: (runs: boolean) => void,
  witness?: Witness,
): Promise<object> => collect(plan, deltasLater(kitchen, plan, signal, witness, running));

/** The same in pieces, choice by choice. */
export async function* deltasLater(
  kitchen: Kitchen,
  plan: AnswerPlan,
  signal: AbortSignal,
  witness?: Witness,
  running: (runs: boolean) => void = () => {},
): AsyncGenerator<IndexedDelta, void, undefined> {
  const requestId = randomUUID();
  let failure: unknown;
  try {
    for (const [index, choice] of plan.choices.entries()) {
      const run = {
        id: sequenceId(`${requestId}.${index}`),
        signal,
        whenFull: 'refuse',
        opened: () => running(true),
      } as const;
      for await (const delta of runChoice(kitchen, choice, run)) {
        witness?.hear(index, delta);
        yield { index, delta };
      }
      running(false);
    }
  } catch (thrown) {
    failure = thrown;
    throw thrown;
  } finally {
    witness?.end(failure);
  }
}

export interface IndexedDelta {
  readonly index: number;
  readonly delta: ChoiceDelta;
}

function runChoices(
  kitchen: Kitchen,
  choices: readonly ChoicePlan[],
  abort: AbortController,
): AsyncGenerator<IndexedDelta, void, undefined> {
  const requestId = randomUUID();
  const { signal } = abort;
  const run = async function* (choice: ChoicePlan, index: number): AsyncGenerator<IndexedDelta> {
    const id = sequenceId(`${requestId}.${index}`);
    for await (const delta of runChoice(kitchen, choice, { id, signal, whenFull: 'wait' }))
      yield { index, delta };
  };
  // Almost every request has one choice, and a merge of one only costs time for each token.
  return choices.length === 1 ? run(choices[0]!, 0) : merge(choices.map(run), abort);
}

interface ChoiceRun {
  readonly id: SequenceId;
  readonly signal: AbortSignal;
  readonly whenFull: WhenFull;
  readonly opened?: () => void;
}

const runChoice = (
  kitchen: Kitchen,
  { request, stops }: ChoicePlan,
  { id, signal, whenFull, opened }: ChoiceRun,
) =>
  choiceDeltas(telling(kitchen.generation.run(id, request, signal, whenFull), opened), {
    detokenizer: kitchen.codec && new Detokenizer(kitchen.codec),
    stops: new StopStrings(stops),
    stopIds: request.stopIds,
    promptLength: request.promptIds.length,
    promptDepth: kitchen.model.manifest.maxDepth,
  });

/** The same events; `opened` is called at the first. Without it nothing stands between, for each token has its price. */
const telling = (
  events: AsyncGenerator<GenerateStreamEvent, void, undefined>,
  opened: (() => void) | undefined,
): AsyncGenerator<GenerateStreamEvent, void, undefined> => {
  if (opened === undefined) return events;
  return (async function* () {
    for await (const event of events) {
      if (event.type === 'opened') opened();
      yield event;
    }
  })();
};

async function* chunks(
  plan: AnswerPlan,
  deltas: AsyncIterable<IndexedDelta>,
): AsyncGenerator<object, void, undefined> {
  const ends: ChoiceEnd[] = [];
  const opened = new Set<number>();
  // With usage asked for, OpenAI's chunks all carry the field, null until the last.
  const dress = (chunk: object) => (plan.includeUsage ? { ...chunk, usage: null } : chunk);
  for await (const { index, delta } of deltas) {
    if (!opened.has(index)) {
      opened.add(index);
      for (const chunk of plan.words.opening(index)) yield dress(chunk);
    }
    if (delta.end !== undefined) ends[index] = delta.end;
    const chunk = plan.words.chunk(index, delta);
    if (chunk !== undefined) yield dress(chunk);
  }
  if (plan.includeUsage) yield plan.words.usageChunk(usageOf(plan.promptTokens, promptsOf(plan), ends));
}

async function collect(plan: AnswerPlan, deltas: AsyncIterable<IndexedDelta>): Promise<object> {
  const parts = plan.choices.map((): ChoiceDelta[] => []);
  for await (const { index, delta } of deltas) parts[index]!.push(delta);
  const choices = parts.map(joined);
  return plan.words.whole(
    choices,
    usageOf(
      plan.promptTokens,
      promptsOf(plan),
      choices.map(({ end }) => end),
    ),
  );
}

const promptsOf = ({ choices }: AnswerPlan): (readonly number[])[] =>
  choices.map(({ request }) => request.promptIds);

const joined = (deltas: readonly ChoiceDelta[]): WholeChoice => ({
  text: deltas.map(({ text }) => text).join(''),
  tokens: deltas.flatMap(({ tokens }) => tokens),
  promptTokens: deltas.flatMap(({ promptTokens }) => promptTokens),
  end: deltas.at(-1)!.end!,
});

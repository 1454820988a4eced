import { randomUUID } from 'node:crypto';
import { ERRORS, LIMITS, RondoError } from '@rondo/core';
import { answerLater } from './answer.ts';
import type { BackgroundRequests } from './background-requests.ts';
import type { BatchLine } from './batch-lines.ts';
import type { BatchRecord } from './batch-record.ts';
import { planChat } from './chat.ts';
import { planCompletion } from './completions.ts';
import type { Models } from './models.ts';
import { invalid, openAiError } from './openai-error.ts';

/** The answer to a line, as it is stored until the output is written. */
export interface LineResult {
  readonly customId: string;
  readonly requestId: string;
  readonly statusCode: number;
  readonly body: object;
}

/** What a line came to for good. */
export interface StoredOutcome {
  readonly kind: 'completed' | 'failed';
  readonly result: LineResult;
}

export interface Refusal {
  readonly kind: 'refused';
  readonly error: RondoError;
  /** It was running, and all workers that it tried are lost. */
  readonly ran: boolean;
}

/** A line comes to a result of one kind or the other, or to nothing yet: workers have no room, or there is none. */
export type LineOutcome = StoredOutcome | Refusal;

export interface LineOptions {
  readonly models: Pick<Models, 'serve'>;
  readonly requests: BackgroundRequests;
}

/**
 * Answers a line of a batch as the endpoint would over HTTP, but never waits in line for room.
 * @param serving is told the name of the model that answers, before anything is asked of it
 * @throws RondoError CANCELLED when `signal` is raised
 */
export async function answerLine(
  { models, requests }: LineOptions,
  batch: BatchRecord,
  { customId, body }: BatchLine,
  signal: AbortSignal,
  serving: (model: string) => void,
): Promise<LineOutcome> {
  const requestId = randomUUID();
  let ran = false;
  try {
    const { asked, service, model } = models.serve(body, { request: customId });
    serving(model.name);
    // A client waits for a worker to come back; a line can be tried again, and holds a place meanwhile.
    if (model.membership.view().length === 0) {
      throw new RondoError('NO_WORKER', `no worker holds the model '${model.name}'`);
    }
    const operation = batch.endpoint === '/v1/completions' ? 'text_completion' : 'chat';
    const plan = operation === 'chat' ? planChat(body, service) : planCompletion(body, service);
    if (plan.stream) throw invalid('stream', 'the lines of a batch are answered whole');
    const { owner } = batch;
    const { promptTokens, stream } = plan;
    const facts = {
      id: requestId,
      owner,
      operation,
      asked,
      model: model.name,
      promptTokens,
      stream,
    } as const;
    const timeline = requests.line(batch, customId, facts);
    const running = (runs: boolean) => {
      ran = runs;
    };
    const hooks = { running, listener: timeline };
    const whole = await answerLater(service, timeline.followed(plan), signal, hooks);
    const result = { customId, requestId, statusCode: 200, body: whole };
    if (encodeResult(result).length > LIMITS.batchResultBytes) {
      throw new RondoError('BODY_TOO_LARGE', `the answer exceeds ${LIMITS.batchResultBytes} bytes`);
    }
    return { kind: 'completed', result };
  } catch (thrown) {
    const error = RondoError.from(thrown);
    if (error.retryable) return { kind: 'refused', error, ran };
    if (signal.aborted) throw error;
    return failedWith(error, customId, requestId);
  }
}

/** What a line comes to that was tried `times` times and lost its coordinator or its workers with each. */
export const givenUp = ({ customId }: BatchLine, times: number, cause?: RondoError): StoredOutcome => {
  const last = cause === undefined ? '' : `; the last time: ${cause.message}`;
  const message = `the line was taken ${times} times and never answered, its coordinator or its workers were lost each time${last}`;
  return failedWith(new RondoError('LINE_GIVEN_UP', message, { cause }), customId, randomUUID());
};

const failedWith = (error: RondoError, customId: string, requestId: string): StoredOutcome => {
  const statusCode = ERRORS[error.code].http;
  return { kind: 'failed', result: { customId, requestId, statusCode, body: openAiError(error) } };
};

export const encodeResult = (result: LineResult): Uint8Array => Buffer.from(JSON.stringify(result));

export const decodeResult = (data: Uint8Array): LineResult =>
  JSON.parse(Buffer.from(data).toString('utf8')) as LineResult;

import { Agent, request as httpRequest, type IncomingMessage } from 'node:http';
import { SseReader } from '../../load/sse-reader.ts';
import type { ChoiceText } from './answer-check.ts';
import type { ChaosRequest } from './chaos-requests.ts';

/** What a client saw of one request. Times are milliseconds of this process's monotonic clock. */
export interface ChaosRecord {
  /** Sent as x-request-id, so that the servers' logs name it. */
  readonly id: string;
  readonly sentMs: number;
  readonly endedMs: number;
  /** As in a load record; `hung`: nothing came for so long that the client gave up. */
  readonly outcome: 'ended' | 'refused' | 'failed' | 'left' | 'hung';
  readonly status: number;
  readonly error?: string;
  readonly choices: readonly ChoiceText[];
  /** Of each choice of a stream: when its tokens came. */
  readonly tokenMs: readonly (readonly number[])[];
}

export interface SendOptions {
  readonly id: string;
  /** The client leaves once it has so many tokens. */
  readonly leaveAfter?: number;
  /** The client gives up when nothing comes for so long. */
  readonly hungMs: number;
}

/** One choice as the endpoints word it, in a chunk or a whole answer. */
interface WordedChoice {
  readonly index: number;
  readonly text?: string;
  readonly delta?: { readonly content?: string };
  readonly message?: { readonly content: string };
  readonly token_ids?: readonly number[];
  readonly logprobs?: {
    readonly token_logprobs?: readonly number[];
    readonly content?: readonly { readonly logprob: number }[];
  } | null;
  readonly finish_reason: string | null;
}

interface Worded {
  readonly choices?: readonly WordedChoice[];
}

interface Growing {
  ids: number[];
  text: string;
  logprobs: number[];
  finish?: string;
}

/** Sends requests to one coordinator and keeps all of their answers. */
export class ChaosClient {
  readonly #url: string;
  readonly #agent = new Agent({ keepAlive: true, maxSockets: Number.POSITIVE_INFINITY });

  constructor(url: string) {
    this.#url = url;
  }

  /** Sends `asked` and reads its answer to the end. Never rejects. */
  send(
    asked: ChaosRequest,
    { id, leaveAfter = Number.POSITIVE_INFINITY, hungMs }: SendOptions,
  ): Promise<ChaosRecord> {
    const body = JSON.stringify(asked.body);
    const sentMs = performance.now();
    const choices = Array.from(
      { length: asked.choices },
      (): Growing => ({ ids: [], text: '', logprobs: [] }),
    );
    const tokenMs = choices.map((): number[] => []);
    const { promise, resolve } = Promise.withResolvers<ChaosRecord>();
    let status = 0;
    let gaveUp: 'left' | 'hung' | undefined;
    const end = (outcome: ChaosRecord['outcome'], error?: string) => {
      clearTimeout(patience);
      const record = {
        id,
        sentMs,
        endedMs: performance.now(),
        outcome: gaveUp ?? outcome,
        status,
        choices,
        tokenMs,
      };
      resolve({ ...record, ...(error !== undefined && { error }) });
    };
    const giveUp = (how: 'left' | 'hung') => {
      gaveUp = how;
      outgoing.destroy();
    };
    const patience = setTimeout(() => giveUp('hung'), hungMs);
    const grow = (part: object) => {
      for (const choice of (part as Worded).choices ?? []) {
        add(choices[choice.index]!, choice);
        const now = performance.now();
        tokenMs[choice.index]!.push(...(choice.token_ids ?? []).map(() => now));
      }
      if (choices.reduce((sum, { ids }) => sum + ids.length, 0) >= leaveAfter) giveUp('left');
    };
    const stream = new SseReader(grow);
    const outgoing = httpRequest(`${this.#url}${asked.path}`, {
      method: 'POST',
      agent: this.#agent,
      headers: {
        'content-type': 'application/json',
        'content-length': Buffer.byteLength(body),
        'x-request-id': id,
      },
    });
    const broken = (error: Error) => end('failed', stream.error ?? error.message);
    outgoing.on('error', broken);
    outgoing.on('response', (response) => {
      status = response.statusCode ?? 0;
      response.on('error', broken).on('data', () => patience.refresh());
      if (status === 200 && asked.body.stream) {
        response.setEncoding('utf8').on('data', (text: string) => stream.push(text, performance.now()));
        response.on('end', () =>
          stream.done ? end('ended') : end('failed', stream.error ?? 'the stream ended before [DONE]'),
        );
      } else {
        whole(response, (text) => {
          if (status !== 200) return end('refused', text);
          for (const choice of (JSON.parse(text) as Worded).choices ?? [])
            add(choices[choice.index]!, choice);
          end('ended');
        });
      }
    });
    outgoing.end(body);
    return promise;
  }

  close(): void {
    this.#agent.destroy();
  }
}

function add(to: Growing, choice: WordedChoice): void {
  to.ids.push(...(choice.token_ids ?? []));
  to.text += choice.text ?? choice.delta?.content ?? choice.message?.content ?? '';
  const { token_logprobs, content } = choice.logprobs ?? {};
  to.logprobs.push(...(token_logprobs ?? content?.map(({ logprob }) => logprob) ?? []));
  if (choice.finish_reason !== null) to.finish = choice.finish_reason;
}

function whole(response: IncomingMessage, then: (text: string) => void): void {
  let text = '';
  response.setEncoding('utf8').on('data', (part: string) => {
    text += part;
  });
  response.on('end', () => then(text));
}

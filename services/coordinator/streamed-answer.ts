import type { FastifyReply } from 'fastify';
import type { AnswerPlan } from './answer-plan.ts';
import type { ChoiceDelta, ChoiceEnd } from './choice.ts';
import { SseWriter } from './sse.ts';
import { usageOf } from './usage.ts';

/** An answer that is told as it grows: OpenAI's chunks, one of each delta. */
export class StreamedAnswer {
  readonly #plan: AnswerPlan;
  readonly #reply: FastifyReply;
  readonly #stream: SseWriter;
  /** A chunk as JSON, up to its choices and from their end: neither changes from token to token. */
  readonly #head: string;
  readonly #tail: string;
  readonly #opened = new Set<number>();
  readonly #ends: ChoiceEnd[] = [];

  constructor(plan: AnswerPlan, reply: FastifyReply) {
    this.#plan = plan;
    this.#reply = reply;
    this.#stream = new SseWriter(reply);
    this.#head = `${JSON.stringify(plan.words.envelope).slice(0, -1)},"choices":[`;
    // With usage asked for, OpenAI's chunks all carry the field, null until the last.
    this.#tail = plan.includeUsage ? '],"usage":null}' : ']}';
  }

  /** A promise asks to wait before this choice goes on. @throws RondoError CANCELLED when the client has left. */
  hear(index: number, delta: ChoiceDelta): Promise<void> | undefined {
    const { words } = this.#plan;
    if (!this.#opened.has(index)) {
      this.#opened.add(index);
      for (const choice of words.opening(index)) void this.#send(choice);
    }
    if (delta.end !== undefined) this.#ends[index] = delta.end;
    const choice = words.choice(index, delta);
    return choice && this.#send(choice);
  }

  /** Every choice has ended. @throws RondoError CANCELLED when the client has left. */
  end(): FastifyReply {
    if (this.#plan.includeUsage) {
      const usage = JSON.stringify(usageOf(this.#plan, this.#ends));
      void this.#stream.send(`${this.#head}],"usage":${usage}}`);
    }
    this.#stream.end();
    return this.#reply;
  }

  /** Tells the client within the stream why it breaks off. */
  fail(thrown: unknown): void {
    this.#stream.fail(thrown);
  }

  #send(choice: object): Promise<void> | undefined {
    return this.#stream.send(`${this.#head}${JSON.stringify(choice)}${this.#tail}`);
  }
}

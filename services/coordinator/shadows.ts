import type { Logger, Metrics } from '@rondo/chassis';
import { LIMITS, RondoError } from '@rondo/core';
import { runLater } from './answer.ts';
import type { AnswerListener } from './answer-listener.ts';
import type { AnswerPlan } from './answer-plan.ts';
import type { BackgroundRequests } from './background-requests.ts';
import type { Model } from './model.ts';
import type { ModelService } from './model-service.ts';
import type { Models, Served } from './models.ts';
import type { RequestFacts } from './request-timeline.ts';
import { isShadowed, type ShadowRule, shadowRoom } from './variant-policy.ts';

/** Tokens at which answers first differ. */
const DIFFERENCE_TOKENS = [0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048];

/** How often a shadow looks whether somebody waits for what it holds, in milliseconds. */
const LOOK_MS = 50;

export interface ShadowsOptions {
  readonly models: Models;
  readonly rules: readonly ShadowRule[];
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly requests: BackgroundRequests;
}

/** What was answered of one choice. */
interface Heard {
  readonly ids: number[];
  ended: boolean;
}

type Plan = (service: ModelService) => AnswerPlan;

interface Rule {
  readonly rule: ShadowRule;
  readonly model: Model;
  /** The model's, under the name asked for, but for what it counts. */
  readonly service: ModelService;
}

/**
 * Runs a share of the requests once more on another model, to see how that does. It begins when the answer is out, waits
 * for nothing, gives way as soon as somebody waits at its model, and its failures stay here.
 */
export class Shadows {
  readonly #models: Models;
  readonly #rules: readonly Rule[];
  readonly #log: Logger;
  readonly #background: BackgroundRequests;
  readonly #requests;
  readonly #compared;
  readonly #difference;
  readonly #stopping = new AbortController();
  readonly #running = new Set<Promise<void>>();

  constructor({ models, rules, log, metrics, requests }: ShadowsOptions) {
    this.#models = models;
    this.#log = log;
    this.#background = requests;
    this.#rules = rules.map((rule) => {
      const model = models.named(rule.model);
      return { rule, model, service: model.shadowService(rule.of, metrics) };
    });
    const labels = ['asked', 'model'] as const;
    this.#requests = metrics.counter('rondo_shadow_requests_total', 'Shadows by what became of them', [
      ...labels,
      'outcome',
    ]);
    this.#compared = metrics.counter(
      'rondo_shadow_compared_total',
      'Greedy choices of shadows, by whether their tokens are those of the answer',
      [...labels, 'tokens'],
    );
    this.#difference = metrics.histogram(
      'rondo_shadow_difference_tokens',
      'Index of the first token that differs from the answer, of those that do',
      DIFFERENCE_TOKENS,
      labels,
    );
  }

  /** Who listens to the answer of this request; undefined when nobody is to run it again, as with most. */
  listener(
    { asked, model }: Served,
    request: RequestFacts,
    choices: number,
    plan: Plan,
  ): AnswerListener | undefined {
    const due = this.#rules.filter(
      (each) => each.rule.of === asked && each.model !== model && isShadowed(each.rule, request.id),
    );
    if (due.length === 0) return undefined;
    const heard = Array.from({ length: choices }, (): Heard => ({ ids: [], ended: false }));
    return {
      hear(index, { tokens, end }) {
        const choice = heard[index]!;
        for (const { id } of tokens) choice.ids.push(id);
        if (end !== undefined) choice.ended = true;
      },
      end: () => {
        // A client that left, or an answer that failed, leaves nothing to compare with.
        if (!heard.every(({ ended }) => ended)) return;
        // The answer goes out first.
        setImmediate(() => {
          for (const each of due) this.#begin(each, request, plan, heard);
        });
      },
    };
  }

  /** Ends all that run. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await Promise.all(this.#running);
  }

  #begin(each: Rule, request: RequestFacts, plan: Plan, heard: readonly Heard[]): void {
    const room = this.#room(each.model, this.#running.size);
    if (room !== 'start') {
      this.#count(each.rule, `dropped-${room}`);
      return;
    }
    const run = this.#run(each, request, plan, heard)
      .then((outcome) => this.#count(each.rule, outcome))
      .finally(() => this.#running.delete(run));
    this.#running.add(run);
  }

  #room({ service: { admission, generation } }: Model, shadows: number) {
    return shadowRoom({
      draining: this.#models.draining || this.#stopping.signal.aborted,
      shadows,
      waiting: generation.waiting,
      inFlight: admission.inFlight,
      inFlightMax: admission.inFlightMax,
      reservedShare: generation.reservedShare,
    });
  }

  async #run(
    { rule, model, service }: Rule,
    request: RequestFacts,
    plan: Plan,
    heard: readonly Heard[],
  ): Promise<string> {
    const gaveWay = new AbortController();
    const late = AbortSignal.timeout(LIMITS.shadowMs);
    const signal = AbortSignal.any([this.#stopping.signal, late, gaveWay.signal]);
    const cancelledFor = () => {
      if (gaveWay.signal.aborted) return 'gave-way';
      return late.aborted ? 'late' : 'coordinator-stops';
    };
    const looking = setInterval(() => {
      if (model.service.generation.waiting > 0) gaveWay.abort();
    }, LOOK_MS);
    try {
      const planned = plan(service);
      const { promptTokens } = planned;
      const facts = { ...request, model: rule.model, promptTokens, stream: false };
      const timeline = this.#background.shadow(request, facts, cancelledFor);
      const followed = timeline.followed(planned);
      const said: number[][] = planned.choices.map(() => []);
      const hear: AnswerListener['hear'] = (index, { tokens }) => {
        for (const { id } of tokens) said[index]!.push(id);
      };
      await runLater(service, followed, signal, hear, { listener: timeline });
      for (const [index, { request }] of planned.choices.entries()) {
        if (request.sampling.temperature === 0) this.#compare(rule, heard[index]!.ids, said[index]!);
      }
      return 'completed';
    } catch (thrown) {
      if (gaveWay.signal.aborted) return 'gave-way';
      if (signal.aborted) return 'cut-off';
      const error = RondoError.from(thrown);
      if (error.retryable) return 'refused';
      this.#log.warn(
        {
          ...{ requestId: request.id, traceId: request.context.traceId },
          ...{ code: error.code, asked: rule.of, model: rule.model },
        },
        `a shadow failed: ${error.message}`,
      );
      return 'failed';
    } finally {
      clearInterval(looking);
    }
  }

  #compare({ of: asked, model }: ShadowRule, answered: readonly number[], said: readonly number[]): void {
    const index = firstDifference(answered, said);
    this.#compared.inc({ asked, model, tokens: index === undefined ? 'same' : 'different' });
    if (index !== undefined) this.#difference.observe({ asked, model }, index);
  }

  #count({ of: asked, model }: ShadowRule, outcome: string): void {
    this.#requests.inc({ asked, model, outcome });
  }
}

/** The index of the first token that two answers do not share; undefined when they are the same. */
export function firstDifference(one: readonly number[], other: readonly number[]): number | undefined {
  const shorter = Math.min(one.length, other.length);
  for (let index = 0; index < shorter; index++) if (one[index] !== other[index]) return index;
  return one.length === other.length ? undefined : shorter;
}

import { randomInt } from 'node:crypto';
import type { Manifest } from '@rondo/bundle';
import { type ExitRule, LIMITS, RondoError, type SamplingParams } from '@rondo/core';
import { z } from 'zod';
import type { ContextRoom } from './context-room.ts';
import { narrowExit } from './exit-request.ts';
import { invalid, invalidBySchema } from './openai-error.ts';
import { PLACEMENTS, type Placement } from './placement.ts';

/** Fields that both completion endpoints share, with OpenAI's names and ranges and ours beside them. */
export const generationFields = {
  model: z.string(),
  stream: z.boolean().default(false),
  stream_options: z.looseObject({ include_usage: z.boolean().nullish() }).optional(),
  n: z.int().min(1).max(LIMITS.choicesMax).default(1),
  temperature: z.number().min(0).max(2).default(1),
  // 0 keeps the likeliest token, as the smallest share does.
  top_p: z
    .number()
    .min(0)
    .max(1)
    .transform((share) => Math.max(share, Number.EPSILON))
    .default(1),
  // All tokens: 0, or -1 as vLLM has it.
  top_k: z
    .int()
    .min(-1)
    .transform((count) => Math.max(count, 0))
    .default(0),
  min_p: z.number().min(0).max(1).default(0),
  // OpenAI's has 64 bits and a sign; ours are its lower 32.
  seed: z
    .number()
    .refine(Number.isInteger, 'expected an integer')
    .transform((seed) => Number(BigInt.asUintN(32, BigInt(seed))))
    .optional(),
  stop: z
    .union([z.string(), z.array(z.string())], 'expected a string or a list of strings')
    .transform((stop) => (typeof stop === 'string' ? [stop] : stop))
    .pipe(z.array(z.string().min(1).max(LIMITS.stopStringCharsMax)).max(LIMITS.stopStringsMax))
    .default([]),
  presence_penalty: z.number().min(-2).max(2).default(0),
  frequency_penalty: z.number().min(-2).max(2).default(0),
  repetition_penalty: z.number().gt(0).max(10).default(1),
  logit_bias: z.record(z.string(), z.unknown()).default({}),
  ignore_eos: z.boolean().default(false),
  min_depth: z.int().optional(),
  max_depth: z.int().optional(),
  exit_threshold: z.number().optional(),
  exit_policy: z.enum(['none', 'gate', 'latent-diff', 'confidence']).optional(),
  exit_depths: z.array(z.int()).min(1).max(LIMITS.exitDepthsMax).optional(),
  placement: z.enum(PLACEMENTS).optional(),
  return_token_ids: z.boolean().default(false),
  return_passes: z.boolean().default(false),
  // These say nothing about the answer's text: accepted and left alone.
  user: z.unknown().optional(),
  metadata: z.unknown().optional(),
  store: z.unknown().optional(),
  service_tier: z.unknown().optional(),
  safety_identifier: z.unknown().optional(),
  prompt_cache_key: z.unknown().optional(),
  prompt_cache_retention: z.unknown().optional(),
} as const;

export type GenerationFields = z.infer<z.ZodObject<typeof generationFields>>;

/** What every endpoint checks a request against. */
export interface ModelFacts {
  readonly name: string;
  readonly manifest: Manifest;
  /** The room for a request that says nothing of its depth or its placement. */
  readonly context: ContextRoom;
  /** The room for one with this rule, and with a placement of its own if it names one: what may not be split has that of one worker. */
  contextFor(exit: ExitRule, placement?: Placement): ContextRoom;
}

/** The shared fields, checked and in the words of the inside. */
export interface ValidGeneration {
  readonly stream: boolean;
  readonly includeUsage: boolean;
  readonly n: number;
  /** Choice i samples with `seed + i`. */
  readonly sampling: SamplingParams;
  readonly stops: readonly string[];
  readonly stopIds: readonly number[];
  readonly exit: ExitRule;
  /** Instead of the coordinator's. */
  readonly placement?: Placement | undefined;
  /** The room for a sequence placed so, with that exit rule. */
  readonly context: ContextRoom;
  readonly returnTokenIds: boolean;
  readonly returnPasses: boolean;
}

/**
 * Checks a request body against `schema`; a null field counts as absent, as OpenAI's own clients send them.
 * @throws RondoError INVALID_REQUEST with the field at fault.
 */
export function parseBody<T extends z.ZodType>(schema: T, body: unknown): z.output<T> {
  if (typeof body !== 'object' || body === null || Array.isArray(body)) {
    throw new RondoError('INVALID_REQUEST', 'the request body: expected a JSON object');
  }
  const present = Object.fromEntries(Object.entries(body).filter(([, value]) => value !== null));
  const parsed = schema.safeParse(present);
  if (!parsed.success) throw invalidBySchema(parsed.error);
  return parsed.data;
}

/** @throws RondoError MODEL_NOT_FOUND unless `name` is the model served here. */
export function checkModel(name: string, model: ModelFacts): void {
  if (name === model.name) return;
  throw new RondoError(
    'MODEL_NOT_FOUND',
    `the model '${name}' does not exist; this server has '${model.name}'`,
    {
      param: 'model',
    },
  );
}

/** @throws RondoError for an unknown model, a bias for an id outside the vocabulary, or a depth the model lacks. */
export function validGeneration(fields: GenerationFields, model: ModelFacts): ValidGeneration {
  checkModel(fields.model, model);
  if (fields.stream_options !== undefined && !fields.stream) {
    throw invalid('stream_options', 'only allowed when stream is true');
  }
  const exit = narrowExit(model.manifest, fields);
  return {
    stream: fields.stream,
    includeUsage: fields.stream_options?.include_usage === true,
    n: fields.n,
    sampling: {
      temperature: fields.temperature,
      topP: fields.top_p,
      topK: Math.min(fields.top_k, model.manifest.shape.vocab),
      minP: fields.min_p,
      seed: fields.seed ?? randomInt(2 ** 32),
      presencePenalty: fields.presence_penalty,
      frequencyPenalty: fields.frequency_penalty,
      repetitionPenalty: fields.repetition_penalty,
      logitBias: logitBias(fields.logit_bias, model.manifest.shape.vocab),
    },
    stops: fields.stop,
    stopIds: fields.ignore_eos ? [] : model.manifest.tokens.eos,
    exit,
    placement: fields.placement,
    context: model.contextFor(exit, fields.placement),
    returnTokenIds: fields.return_token_ids,
    returnPasses: fields.return_passes,
  };
}

/** The sampling of choice `index`: its own seed, so that choices differ and each can be asked for again alone. */
export const samplingOf = (sampling: SamplingParams, index: number): SamplingParams => ({
  ...sampling,
  seed: (sampling.seed + index) >>> 0,
});

function logitBias(fields: Readonly<Record<string, unknown>>, vocab: number): Map<number, number> {
  const entries = Object.entries(fields);
  if (entries.length > LIMITS.logitBiasMax) {
    throw invalid('logit_bias', `at most ${LIMITS.logitBiasMax} tokens, got ${entries.length}`);
  }
  return new Map(
    entries.map(([key, bias]) => {
      const id = /^\d+$/.test(key) ? Number(key) : Number.NaN;
      if (!(id < vocab)) throw invalid('logit_bias', `'${key}' is no token id below ${vocab}`);
      if (typeof bias !== 'number' || !(Math.abs(bias) <= 100)) {
        throw invalid('logit_bias', `expected a number from -100 to 100 for token ${key}`);
      }
      return [id, bias];
    }),
  );
}

/** Accepts a field only with a value that changes nothing. */
export const unsupported = (
  isNeutral: (value: unknown) => boolean,
  remedy = 'not supported by this server',
) =>
  z
    .unknown()
    .refine((value) => value === undefined || isNeutral(value), remedy)
    .optional();

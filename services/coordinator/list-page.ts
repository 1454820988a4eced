import { z } from 'zod';
import { parseBody } from './generation-fields.ts';
import { invalid } from './openai-error.ts';

/** A part of a list, as OpenAI's clients page through it. */
export interface ListPage<T> {
  readonly object: 'list';
  readonly data: readonly T[];
  readonly first_id: string | null;
  readonly last_id: string | null;
  readonly has_more: boolean;
}

export interface PageDemand {
  readonly limit: number;
  /** The id that the page begins behind. */
  readonly after?: string | undefined;
  readonly order: 'asc' | 'desc';
}

/** Fields of a query that pages through a list; every value of a query is a string. */
export const pageFields = (limitDefault: number, limitMax: number) => ({
  after: z.string().optional(),
  limit: z.coerce.number().int().min(1).max(limitMax).default(limitDefault),
  order: z.enum(['asc', 'desc']).default('desc'),
});

/** @throws RondoError INVALID_REQUEST with the field at fault */
export const parseQuery = <T extends z.ZodType>(schema: T, query: unknown): z.output<T> =>
  parseBody(schema, query);

/**
 * The page of `all`, by age: ids alone do not tell it, as the output of a batch is named after that.
 * @throws RondoError INVALID_REQUEST when `after` is not among them
 */
export function listPage<T extends { readonly id: string; readonly createdAt: number }>(
  all: readonly T[],
  { limit, after, order }: PageDemand,
): ListPage<T> {
  const byAge = (a: T, b: T): number => a.createdAt - b.createdAt || (a.id < b.id ? -1 : 1);
  const sorted = all.toSorted((a, b) => byAge(a, b) * (order === 'asc' ? 1 : -1));
  const behind = after === undefined ? 0 : sorted.findIndex(({ id }) => id === after) + 1;
  if (after !== undefined && behind === 0) throw invalid('after', `there is no '${after}' in this list`);
  const data = sorted.slice(behind, behind + limit);
  return {
    object: 'list',
    data,
    first_id: data[0]?.id ?? null,
    last_id: data.at(-1)?.id ?? null,
    has_more: behind + limit < sorted.length,
  };
}

import { RondoError } from '@rondo/core';
import type { z } from 'zod';

/** A line of a file, and where it stands, `file:line`. */
export interface CheckedLine<Value> {
  readonly place: string;
  readonly value: Value;
}

/**
 * What the JSON `text` holds; `place` begins every message, `remedy` ends those about what `schema` does not allow.
 * @throws RondoError CONFIG_INVALID for what is not JSON, or naming the key at fault.
 */
export function checkedJson<Schema extends z.ZodType>(
  schema: Schema,
  place: string,
  text: string,
  remedy?: string,
): z.infer<Schema> {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    throw new RondoError('CONFIG_INVALID', `${place}: not JSON`, { cause });
  }
  const parsed = schema.safeParse(json);
  if (parsed.success) return parsed.data;
  const { path, message } = parsed.error.issues[0]!;
  const key = path.length > 0 ? [path.join('.')] : [];
  throw new RondoError('CONFIG_INVALID', [place, ...key, message, ...(remedy ? [remedy] : [])].join(': '));
}

/** The lines of a file with one JSON object each; empty ones are passed over. @throws as `checkedJson`. */
export const checkedLines = <Schema extends z.ZodType>(
  schema: Schema,
  name: string,
  text: string,
): CheckedLine<z.infer<Schema>>[] =>
  text.split('\n').flatMap((line, at) => {
    if (line.trim() === '') return [];
    const place = `${name}:${at + 1}`;
    return [{ place, value: checkedJson(schema, place, line) }];
  });

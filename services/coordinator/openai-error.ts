import { ERRORS, RondoError } from '@rondo/core';
import type { z } from 'zod';

/** OpenAI's error object, the body of every answer that is not a success. */
export interface OpenAiError {
  readonly error: {
    readonly message: string;
    readonly type: string;
    readonly param: string | null;
    readonly code: string | null;
  };
}

export const openAiError = (error: RondoError): OpenAiError => ({
  error: {
    message: error.message,
    type: ERRORS[error.code].type,
    param: error.param ?? null,
    // OpenAI leaves the code of a plain bad request empty.
    code: error.code === 'INVALID_REQUEST' ? null : error.code.toLowerCase(),
  },
});

/** A request field that cannot be accepted; `message` says what was expected. */
export const invalid = (param: string, message: string): RondoError =>
  new RondoError('INVALID_REQUEST', `${param}: ${message}`, { param });

/** The first thing a schema found wrong, with the field at fault in OpenAI's spelling (`messages[0].role`). */
export function invalidBySchema(error: z.ZodError): RondoError {
  const issue = error.issues[0];
  if (issue === undefined) return new RondoError('INVALID_REQUEST', 'the request is not valid');
  if (issue.code === 'unrecognized_keys') {
    const param = spell([...issue.path, issue.keys[0] ?? '']);
    return invalid(param, 'unknown field');
  }
  if (issue.path.length === 0) {
    return new RondoError('INVALID_REQUEST', `the request body: ${issue.message}`);
  }
  return invalid(spell(issue.path), issue.message);
}

/** List indices are told for messages only: elsewhere the field is what the client set. */
function spell(path: readonly PropertyKey[]): string {
  const told = path[0] === 'messages' ? path : path.filter((key) => typeof key !== 'number');
  return told
    .map((key, index) =>
      typeof key === 'number' ? `[${key}]` : index === 0 ? String(key) : `.${String(key)}`,
    )
    .join('');
}

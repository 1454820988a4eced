import { RondoError } from '@rondo/core';

/** A number that JSON does not have, behind a field's name. Python's json module writes these. */
const NOT_JSON_NUMBER = /"([A-Za-z_]+)"\s*:\s*(-?(?:NaN|Infinity))/;

/**
 * Parses a request body.
 * @throws RondoError INVALID_REQUEST for bytes that are no UTF-8 and for text that is no JSON.
 */
export function parseJsonBody(bytes: Uint8Array): unknown {
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (cause) {
    throw new RondoError('INVALID_REQUEST', 'the request body is not valid UTF-8', { cause });
  }
  try {
    return JSON.parse(text);
  } catch (cause) {
    const [, param, value] = NOT_JSON_NUMBER.exec(text) ?? [];
    const reason = value === undefined ? (cause as Error).message : `JSON has no number ${value}`;
    throw new RondoError('INVALID_REQUEST', `the request body is not valid JSON: ${reason}`, {
      param,
      cause,
    });
  }
}

import { LIMITS, RondoError } from '@rondo/core';

/** A number that JSON does not have, behind a field's name. Python's json module writes these. */
const NOT_JSON_NUMBER = /"([A-Za-z_]+)"\s*:\s*(-?(?:NaN|Infinity))/;

/**
 * Parses a request body.
 * @throws RondoError INVALID_REQUEST for bytes that are no UTF-8, for text that is no JSON and for one nested too deep.
 */
export function parseJsonBody(bytes: Uint8Array): unknown {
  if (isNestedTooDeep(bytes)) {
    throw new RondoError(
      'INVALID_REQUEST',
      `the request body is nested more than ${LIMITS.jsonDepthMax} deep`,
    );
  }
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

const [QUOTE, BACKSLASH] = [0x22, 0x5c];
const OPENING: ReadonlySet<number> = new Set([0x5b, 0x7b]);
const CLOSING: ReadonlySet<number> = new Set([0x5d, 0x7d]);

/** Looks at brackets outside of strings alone; whether the text is JSON is not asked. */
function isNestedTooDeep(bytes: Uint8Array): boolean {
  let depth = 0;
  let quoted = false;
  for (let at = 0; at < bytes.length; at++) {
    const byte = bytes[at]!;
    if (quoted) {
      if (byte === BACKSLASH) at++;
      else if (byte === QUOTE) quoted = false;
    } else if (byte === QUOTE) quoted = true;
    else if (OPENING.has(byte)) {
      if (++depth > LIMITS.jsonDepthMax) return true;
    } else if (CLOSING.has(byte)) depth--;
  }
  return false;
}

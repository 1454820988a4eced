import { LIMITS } from '@rondo/core';

export const BATCH_ENDPOINTS = ['/v1/chat/completions', '/v1/completions'] as const;

export type BatchEndpoint = (typeof BATCH_ENDPOINTS)[number];

/** A request of a batch's input file. */
export interface BatchLine {
  readonly customId: string;
  readonly body: Readonly<Record<string, unknown>>;
}

/** What is wrong with a line of the input, in OpenAI's shape; `line` counts from 1. */
export interface BatchError {
  readonly code: string;
  readonly message: string;
  readonly param: string | null;
  readonly line: number | null;
}

/** A line that is not blank. */
export interface RawLine {
  /** Its place among all lines of the file, from 1. */
  readonly number: number;
  /** Undefined for a line longer than `batchLineBytes`. */
  readonly bytes: Uint8Array | undefined;
}

const NEWLINE = 0x0a;
const isBlank = (byte: number): boolean => byte === 0x20 || byte === 0x0d || byte === 0x09;

/** The lines of a file that is read in pieces; holds one line and one piece at a time. Blank lines are left out. */
export async function* rawLines(
  content: AsyncIterable<Uint8Array>,
): AsyncGenerator<RawLine, void, undefined> {
  let parts: Uint8Array[] = [];
  let length = 0;
  let number = 0;
  const add = (part: Uint8Array): void => {
    length += part.length;
    // Of a line that is too long nothing is kept but that it is.
    if (length <= LIMITS.batchLineBytes) parts.push(part);
    else parts = [];
  };
  const take = (): RawLine | undefined => {
    number++;
    const bytes = length > LIMITS.batchLineBytes ? undefined : Buffer.concat(parts);
    parts = [];
    length = 0;
    return bytes?.every(isBlank) ? undefined : { number, bytes };
  };
  for await (const piece of content) {
    let start = 0;
    for (let end = piece.indexOf(NEWLINE); end >= 0; end = piece.indexOf(NEWLINE, start)) {
      add(piece.subarray(start, end));
      start = end + 1;
      const line = take();
      if (line !== undefined) yield line;
    }
    add(piece.subarray(start));
  }
  const last = length > 0 ? take() : undefined;
  if (last !== undefined) yield last;
}

/**
 * Reads one line: its request, or the first thing that is wrong with it. Whether the body makes sense is seen when its
 * turn comes; that fails the line, not the batch.
 */
export function parseLine({ number, bytes }: RawLine, endpoint: string): BatchLine | BatchError {
  const wrong = (code: string, message: string, param: string | null = null): BatchError => ({
    code,
    message,
    param,
    line: number,
  });
  if (bytes === undefined) {
    return wrong('line_too_long', `the line is longer than ${LIMITS.batchLineBytes} bytes`);
  }
  let line: unknown;
  try {
    line = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch (error) {
    return wrong('invalid_json_line', `the line is not valid JSON: ${(error as Error).message}`);
  }
  if (!isObject(line)) return wrong('invalid_json_line', 'the line is no JSON object');
  const { custom_id: customId, method, url, body } = line;
  if (typeof customId !== 'string' || customId === '') {
    return wrong('missing_required_parameter', 'custom_id: expected a string that is not empty', 'custom_id');
  }
  if (customId.length > LIMITS.batchCustomIdChars) {
    return wrong(
      'invalid_custom_id',
      `custom_id: at most ${LIMITS.batchCustomIdChars} characters`,
      'custom_id',
    );
  }
  if (method !== 'POST') return wrong('invalid_method', "method: expected 'POST'", 'method');
  if (url !== endpoint) {
    return wrong('invalid_url', `url: expected '${endpoint}', the endpoint of the batch`, 'url');
  }
  if (!isObject(body)) return wrong('missing_required_parameter', 'body: expected a JSON object', 'body');
  return { customId, body };
}

export const isBatchError = (parsed: BatchLine | BatchError): parsed is BatchError => 'code' in parsed;

/** What reading a whole input came to: its number of requests, or what is wrong, at most `batchErrorsMax` of it. */
export interface InputCheck {
  readonly total: number;
  readonly errors: readonly BatchError[];
}

/** Checks every line of an input file, and that custom ids differ. */
export async function checkInput(content: AsyncIterable<Uint8Array>, endpoint: string): Promise<InputCheck> {
  const errors: BatchError[] = [];
  const seen = new Map<string, number>();
  let total = 0;
  for await (const raw of rawLines(content)) {
    if (++total > LIMITS.batchLinesMax) {
      errors.push(wholeFile('too_many_requests', `a batch has at most ${LIMITS.batchLinesMax} lines`));
      break;
    }
    const parsed = parseLine(raw, endpoint);
    const error = isBatchError(parsed) ? parsed : duplicate(parsed.customId, raw.number, seen);
    if (error !== undefined) errors.push(error);
    if (errors.length === LIMITS.batchErrorsMax) break;
  }
  if (total === 0) errors.push(wholeFile('empty_file', 'the input file has no lines'));
  return { total, errors };
}

function duplicate(customId: string, line: number, seen: Map<string, number>): BatchError | undefined {
  const first = seen.get(customId);
  if (first === undefined) {
    seen.set(customId, line);
    return undefined;
  }
  const message = `custom_id: the one of line ${first} again`;
  return { code: 'duplicate_custom_id', message, param: 'custom_id', line };
}

export const wholeFile = (code: string, message: string): BatchError => ({
  code,
  message,
  param: null,
  line: null,
});

export const inputGone = (fileId: string): BatchError =>
  wholeFile('file_not_found', `the input file '${fileId}' is gone`);

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

import type { LineResult } from './batch-answer.ts';
import type { BatchEnding } from './batch-record.ts';

/** Why a line has no answer, in OpenAI's words. */
const UNANSWERED = {
  expired: {
    code: 'batch_expired',
    message: 'This request could not be executed before the completion window expired.',
  },
  cancelled: {
    code: 'batch_cancelled',
    message: 'This request was not executed before the batch was cancelled.',
  },
} as const;

/** A line of the output or error file, and which of the two. */
export interface OutputLine {
  readonly file: 'output' | 'error';
  readonly text: string;
}

/** The line that tells how request `place` (from 0) of a batch ended; the same whoever writes it. */
export function outputLine(
  batchId: string,
  place: number,
  customId: string,
  result: LineResult | undefined,
  ending: BatchEnding,
): OutputLine {
  const id = `batch_req_${batchId.replace(/^batch_/, '')}_${place}`;
  if (result === undefined) {
    const error = UNANSWERED[ending === 'cancelled' ? 'cancelled' : 'expired'];
    return line('error', { id, custom_id: customId, response: null, error });
  }
  const { statusCode, requestId, body } = result;
  const response = { status_code: statusCode, request_id: requestId, body };
  return line(statusCode === 200 ? 'output' : 'error', { id, custom_id: customId, response, error: null });
}

const line = (file: OutputLine['file'], content: object): OutputLine => ({
  file,
  text: `${JSON.stringify(content)}\n`,
});

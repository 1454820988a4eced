import type { RequestRecord } from './request-record.ts';

/**
 * Tokens of the time from `fromMs` to `toMs`, those of each request spread evenly over it from sending to end. Where clients began
 * together and all answers are equally long, prompts and tokens come in turns: how many tokens arrive within some seconds then says at
 * which turn one looked. Requests of that time that have not ended are not counted.
 */
export function tokensWithin(records: readonly RequestRecord[], fromMs: number, toMs: number): number {
  let tokens = 0;
  for (const { sentMs, endedMs, tokenMs } of records) {
    const withinMs = Math.min(endedMs, toMs) - Math.max(sentMs, fromMs);
    if (withinMs > 0) tokens += (tokenMs.length * withinMs) / (endedMs - sentMs);
  }
  return tokens;
}

import type { Window } from './load-summary.ts';
import type { RequestRecord } from './request-record.ts';

/** What one run of a load saw, and when. */
export interface LoadTurn {
  readonly records: readonly RequestRecord[];
  readonly window: Window;
}

/** Turns that others' turns lay between, as one: each is moved to where the one before it ended. At least one. */
export function joinTurns(turns: readonly LoadTurn[]): LoadTurn {
  const fromMs = turns[0]!.window.fromMs;
  let toMs = fromMs;
  const records = turns.flatMap((turn) => {
    const shift = toMs - turn.window.fromMs;
    toMs += turn.window.toMs - turn.window.fromMs;
    return turn.records.map((record) => ({
      ...record,
      sentMs: record.sentMs + shift,
      endedMs: record.endedMs + shift,
      tokenMs: record.tokenMs.map((ms) => ms + shift),
    }));
  });
  return { records, window: { fromMs, toMs } };
}

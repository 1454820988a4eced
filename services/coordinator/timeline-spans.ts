import type { Attributes } from '@rondo/chassis';
import type { SequenceTimeline, Stay, TimedRun } from './sequence-timeline.ts';

/** A run with the way of its rows to the next worker, where they went to another. */
export interface PlacedRun extends TimedRun {
  /** Index of the token that its rows led to; null for rows of the prompt. */
  readonly token: number | null;
  readonly hopMs: number | null;
  /**
   * From its result until its rows, or the token they led to, were ready for the next run on the same worker; of the last run, until the
   * sequence was over.
   */
  readonly settleMs: number | null;
}

/** A stretch of a sequence's life, in milliseconds since its request came in. */
export interface TimelineSpan {
  readonly name: 'queue' | 'place' | 'prefill' | 'decode';
  readonly startMs: number;
  readonly endMs: number;
  readonly attributes: Attributes;
  readonly runs: readonly PlacedRun[];
}

export const endOf = ({ startMs, waitMs, runMs }: TimedRun): number => startMs + waitMs + runMs;

/**
 * A sequence's life in stretches: for each stay `queue` and `place`, a `prefill` for each chunk of given rows, and a `decode` for each
 * token. A stretch of decoding begins where the token before it was there, so that they leave no gap.
 */
export function timelineSpans(timeline: SequenceTimeline): TimelineSpan[] {
  const { stays, runs, tokenMs, promptRows } = timeline;
  const spans: TimelineSpan[] = [];
  const tokens = new Map<number, TimedRun[]>();
  for (const stay of stays) {
    spans.push(...openingSpans(stay));
    const chunks: TimedRun[][] = [];
    for (const run of runs) {
      if (run.epoch !== stay.epoch) continue;
      const token = tokenOf(run, promptRows);
      if (token !== null && token >= Math.max(1, stay.emitted)) push(tokens, token, run);
      else chunkOf(chunks, run).push(run);
    }
    spans.push(...chunks.map((chunk) => prefillSpan(stay, placed(chunk, promptRows))));
  }
  let before = Math.max(0, ...spans.map(({ endMs }) => endMs));
  const firstMs = tokenMs[0];
  if (runs.length === 0 && firstMs !== undefined) {
    // Nobody told of runs: all that is known is when tokens came.
    spans.push({ name: 'prefill', startMs: before, endMs: firstMs, attributes: {}, runs: [] });
    before = firstMs;
  } else before = firstTokenMs(spans, firstMs) ?? before;
  for (let token = 1; token < tokenMs.length; token++) {
    const own = placed(tokens.get(token) ?? [], promptRows, tokens.get(token + 1));
    const endMs = Math.max(before, own.length > 0 ? Math.max(...own.map(endOf)) : tokenMs[token]!);
    spans.push({
      name: 'decode',
      startMs: before,
      endMs,
      attributes: decodeAttributes(token, own),
      runs: own,
    });
    before = endMs;
  }
  return settled(spans, timeline.endMs);
}

/** Nothing comes after the last run but the sequence's end. */
function settled(spans: TimelineSpan[], endMs: number | undefined): TimelineSpan[] {
  const last = spans.at(-1);
  const run = last?.runs.at(-1);
  if (endMs === undefined || last === undefined || run === undefined) return spans;
  const settleMs = Math.max(0, endMs - endOf(run));
  return spans.with(-1, { ...last, runs: last.runs.with(-1, { ...run, hopMs: null, settleMs }) });
}

/** When the first token was there: at the end of the first stay's given rows. */
function firstTokenMs(spans: readonly TimelineSpan[], toldMs: number | undefined): number | undefined {
  if (toldMs === undefined) return undefined;
  const ends = spans
    .filter(({ name, endMs }) => name === 'prefill' && endMs <= toldMs)
    .map(({ endMs }) => endMs);
  return ends.length > 0 ? Math.max(...ends) : toldMs;
}

const openingSpans = ({ soughtMs, askedMs, openedMs, ...stay }: Stay): TimelineSpan[] => [
  { name: 'queue', startMs: soughtMs, endMs: askedMs, attributes: { 'rondo.epoch': stay.epoch }, runs: [] },
  {
    name: 'place',
    startMs: askedMs,
    endMs: openedMs,
    attributes: {
      'rondo.epoch': stay.epoch,
      'rondo.home': stay.home,
      'rondo.workers': stay.workers,
      'rondo.cached_tokens': stay.cachedTokens,
      'rondo.emitted_tokens': stay.emitted,
    },
    runs: [],
  },
];

function prefillSpan({ epoch }: Stay, runs: readonly PlacedRun[]): TimelineSpan {
  const [first] = runs as [PlacedRun];
  const attributes = {
    'rondo.epoch': epoch,
    'rondo.position': first.start,
    'rondo.rows': first.rows,
    // Rows of tokens that were out before: another worker ran them, too.
    'rondo.replay': first.token !== null,
  };
  return { name: 'prefill', startMs: first.startMs, endMs: Math.max(...runs.map(endOf)), attributes, runs };
}

const decodeAttributes = (token: number, runs: readonly PlacedRun[]): Attributes => ({
  'rondo.token': token,
  'rondo.passes': runs.length > 0 ? runs.filter(({ phase }) => phase === 'block').length : undefined,
});

/** The row at position p gives the token behind it. */
const tokenOf = ({ start }: TimedRun, promptRows: number): number | null =>
  start < promptRows ? null : start - promptRows + 1;

/** The chunk that a run's rows are of: from the head on it is the last of them that counts. */
function chunkOf(chunks: TimedRun[][], { start, rows }: TimedRun): TimedRun[] {
  const last = start + rows - 1;
  const known = chunks.find(([first]) => first!.start <= last && last < first!.start + first!.rows);
  if (known) return known;
  const chunk: TimedRun[] = [];
  chunks.push(chunk);
  return chunk;
}

/** Runs in the order of time, each with what is between it and the next; `behind` come after them. */
function placed(
  runs: readonly TimedRun[],
  promptRows: number,
  behind: readonly TimedRun[] = [],
): PlacedRun[] {
  const ordered = runs.toSorted((a, b) => a.startMs - b.startMs || a.depth - b.depth);
  const after = behind.toSorted((a, b) => a.startMs - b.startMs)[0];
  return ordered.map((run, index) => {
    const next = ordered[index + 1] ?? after;
    // Between two stays lies what the recovery took, which is nobody's way.
    const gapMs = next?.epoch === run.epoch ? Math.max(0, next.startMs - endOf(run)) : null;
    const stays = next?.worker === run.worker;
    const token = tokenOf(run, promptRows);
    return { ...run, token, hopMs: stays ? null : gapMs, settleMs: stays ? gapMs : null };
  });
}

function push(groups: Map<number, TimedRun[]>, key: number, run: TimedRun): void {
  const group = groups.get(key);
  if (group) group.push(run);
  else groups.set(key, [run]);
}

import { compareChoice, type Difference } from './answer-check.ts';
import type { Sent } from './chaos-load.ts';
import type { TakenStep } from './fault-run.ts';

/** One request held against its undisturbed answer. */
export interface Verdict {
  readonly sent: Sent;
  /** Tokens compared: those of the undisturbed answer, of a client that left those it got. */
  readonly tokens: number;
  readonly lost: number;
  readonly repeated: number;
  readonly different: number;
  /** What was wrong, in words; nothing when all was as it should be. */
  readonly wrong: readonly string[];
}

/** Holds one request against its undisturbed answer. What a client was refused is not lost: it never had any of it. */
export function judge(sent: Sent): Verdict {
  const { outcome, choices, error, status } = sent.record;
  const expected = sent.known.answer.choices;
  const none = { sent, tokens: 0, lost: 0, repeated: 0, different: 0 };
  if (outcome === 'refused') return { ...none, wrong: [`refused with ${status}: ${error}`] };
  const whole = outcome === 'ended';
  const found: Difference[] = choices.map((choice, index) => compareChoice(choice, expected[index]!, !whole));
  // Of a stream that broke off, what came is compared and what did not is lost; a client that left wanted no more.
  const missing = choices.map(({ ids }, index) =>
    whole || outcome === 'left' ? 0 : Math.max(0, expected[index]!.ids.length - ids.length),
  );
  const sum = (pick: (difference: Difference) => number) =>
    found.reduce((total, each) => total + pick(each), 0);
  const differences = found.flatMap(({ first }, index) =>
    first === undefined ? [] : [choices.length > 1 ? `choice ${index}: ${first}` : first],
  );
  const ended = whole || outcome === 'left' ? [] : [`${outcome}: ${error ?? 'no answer'}`];
  return {
    sent,
    tokens: (outcome === 'left' ? choices : expected).reduce((total, { ids }) => total + ids.length, 0),
    lost: sum(({ lost }) => lost) + missing.reduce((total, tokens) => total + tokens, 0),
    repeated: sum(({ repeated }) => repeated),
    different: sum(({ different }) => different),
    wrong: [...ended, ...differences],
  };
}

/** Steps taken while a request was under way. */
export const stepsIn = ({ sent: { record } }: Verdict, steps: readonly TakenStep[]): TakenStep[] =>
  steps.filter(({ atMs }) => atMs >= record.sentMs && atMs <= record.endedMs);

/** A pause between two tokens of one choice of a stream, in milliseconds of the monotonic clock. */
export interface Pause {
  readonly fromMs: number;
  readonly toMs: number;
}

export const pauses = (verdicts: readonly Verdict[]): Pause[] =>
  verdicts.flatMap(({ sent }) =>
    sent.record.tokenMs.flatMap((times) =>
      times.slice(1).map((toMs, index) => ({ fromMs: times[index]!, toMs })),
    ),
  );

export const longestPause = (all: readonly Pause[]): Pause | undefined =>
  all.reduce<Pause | undefined>(
    (longest, pause) =>
      longest === undefined || pause.toMs - pause.fromMs > longest.toMs - longest.fromMs ? pause : longest,
    undefined,
  );

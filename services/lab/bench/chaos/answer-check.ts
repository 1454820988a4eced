/** One choice of an answer, streamed or whole. */
export interface ChoiceText {
  readonly ids: readonly number[];
  readonly text: string;
  /** Of each token, where the request asked for it. */
  readonly logprobs: readonly number[];
  /** Undefined while the choice has not ended. */
  readonly finish?: string;
}

/** How one choice differs from the undisturbed one, in tokens. */
export interface Difference {
  /** Tokens of the undisturbed text that are missing. */
  readonly lost: number;
  /** Tokens that came once more. */
  readonly repeated: number;
  /** Tokens that are others. */
  readonly different: number;
  /** What differs first, in words; undefined when nothing does. */
  readonly first?: string;
}

/** Placements may differ by so much, in nats: what architecture and tests hold f32 to. */
const LOGPROB_TOLERANCE = 1e-3;
/** A skip or a repetition is one only if so many tokens, or all that are left, agree behind it. */
const AGREEING = 6;

/** Holds `found` against `expected`. A client that left early has a `partial` answer: its beginning is compared. */
export function compareChoice(found: ChoiceText, expected: ChoiceText, partial = false): Difference {
  const ids = compareIds(found.ids, expected.ids, partial);
  if (ids.first !== undefined) return ids;
  const different = (first: string): Difference => ({ ...ids, different: ids.different + 1, first });
  if (partial ? !expected.text.startsWith(found.text) : found.text !== expected.text) {
    const at = firstDifference(found.text, expected.text);
    return different(
      `text from character ${at}: ${JSON.stringify(found.text.slice(at, at + 20))} for ${JSON.stringify(expected.text.slice(at, at + 20))}`,
    );
  }
  const count = partial ? found.logprobs.length : expected.logprobs.length;
  for (let at = 0; at < count; at++) {
    const [a, b] = [found.logprobs[at], expected.logprobs[at]];
    if (a === undefined || b === undefined || Math.abs(a - b) > LOGPROB_TOLERANCE) {
      return different(`log probability of token ${at}: ${a} for ${b}`);
    }
  }
  if (!partial && found.finish !== expected.finish) {
    return different(`finish reason ${found.finish} for ${expected.finish}`);
  }
  return ids;
}

function firstDifference(a: string, b: string): number {
  let at = 0;
  while (at < a.length && a[at] === b[at]) at++;
  return at;
}

/**
 * Walks along both lists; where they part, the shortest skip in either after which they agree again names what happened.
 * Where they never agree again, all that is left is different.
 */
function compareIds(found: readonly number[], expected: readonly number[], partial: boolean): Difference {
  let [lost, repeated] = [0, 0];
  let first: string | undefined;
  let [at, due] = [0, 0];
  const result = (more: Partial<Difference> = {}): Difference => ({
    ...{ lost, repeated, different: 0, ...more },
    ...(first !== undefined && { first }),
  });
  while (at < found.length && due < expected.length) {
    if (found[at] === expected[due]) {
      [at, due] = [at + 1, due + 1];
      continue;
    }
    const skip = agreeingSkip(found, at, expected, due);
    first ??= `token ${due}: ${words(found, at)} for ${words(expected, due)}`;
    if (skip === undefined) {
      const rest = partial ? found.length - at : Math.max(found.length - at, expected.length - due);
      return result({ different: rest });
    }
    if (skip.kind === 'lost') [lost, due] = [lost + skip.tokens, due + skip.tokens];
    else [repeated, at] = [repeated + skip.tokens, at + skip.tokens];
  }
  if (at < found.length) {
    first ??= `${found.length - at} tokens too many: ${words(found, at)}`;
    return result({ repeated: repeated + found.length - at });
  }
  if (due < expected.length && !partial) {
    first ??= `${expected.length - due} tokens too few, from token ${due}`;
    return result({ lost: lost + expected.length - due });
  }
  return result();
}

const words = (ids: readonly number[], at: number): string => `[${ids.slice(at, at + 6).join(' ')}]`;

function agreeingSkip(
  found: readonly number[],
  at: number,
  expected: readonly number[],
  due: number,
): { readonly kind: 'lost' | 'repeated'; readonly tokens: number } | undefined {
  const furthest = Math.max(found.length - at, expected.length - due);
  for (let tokens = 1; tokens < furthest; tokens++) {
    if (agree(found, at, expected, due + tokens)) return { kind: 'lost', tokens };
    // What is repeated has been there before, in just this order.
    if (
      tokens <= due &&
      agree(found, at + tokens, expected, due) &&
      same(found, at, expected, due - tokens, tokens)
    )
      return { kind: 'repeated', tokens };
  }
  return undefined;
}

function agree(found: readonly number[], at: number, expected: readonly number[], due: number): boolean {
  const left = Math.min(found.length - at, expected.length - due);
  return left > 0 && same(found, at, expected, due, Math.min(AGREEING, left));
}

function same(
  a: readonly number[],
  from: number,
  b: readonly number[],
  start: number,
  count: number,
): boolean {
  for (let index = 0; index < count; index++) if (a[from + index] !== b[start + index]) return false;
  return true;
}

import type { Json } from './tokenizer-parts.ts';

/** The pattern behind `ByteLevel` with `use_regex`: GPT-2's. */
const GPT2_PATTERN = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";

export const split = (regex: string): Json => ({
  type: 'Split',
  pattern: { Regex: regex },
  behavior: 'Isolated',
  invert: false,
});

/**
 * Rewrites a tokenizer.json's pre-tokenizer so that it cuts the same in JavaScript as in Rust, where tokenizers are
 * made: JavaScript's `\s` takes U+FEFF for a space and U+0085 for none, and @huggingface/tokenizers knows ASCII digits
 * only in `Digits`.
 */
export function exactPreTokenizer(preTokenizer: Json | null): Json | null {
  switch (preTokenizer?.type) {
    case 'Sequence': {
      const parts = preTokenizer.pretokenizers as Json[];
      const exact = parts.map((part) => exactPreTokenizer(part)!);
      return sequence(
        ...exact.flatMap((part) => (part.type === 'Sequence' ? (part.pretokenizers as Json[]) : [part])),
      );
    }
    case 'Digits':
      return split(preTokenizer.individual_digits ? '\\p{N}' : '\\p{N}+');
    case 'Split': {
      const { Regex: regex } = preTokenizer.pattern as { Regex?: string };
      if (regex === undefined) return preTokenizer;
      return { ...preTokenizer, pattern: { Regex: exactSpaces(regex) } };
    }
    case 'ByteLevel':
      // A prefix space must come before the cut, which only the library's own rule does.
      if (preTokenizer.use_regex === false || preTokenizer.add_prefix_space !== false) return preTokenizer;
      return sequence(split(exactSpaces(GPT2_PATTERN)), { ...preTokenizer, use_regex: false });
    default:
      return preTokenizer;
  }
}

export const sequence = (...pretokenizers: Json[]): Json => ({ type: 'Sequence', pretokenizers });

const exactSpaces = (regex: string): string =>
  regex.replace(/\\(.)/g, (whole, letter) =>
    letter === 's' ? '\\p{White_Space}' : letter === 'S' ? '\\P{White_Space}' : whole,
  );

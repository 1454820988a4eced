import type { Fields } from './fields.ts';
import { TOKEN_TYPE, type TokenizerParts, vocabulary } from './tokenizer-parts.ts';

/** SentencePiece's mark for a space. */
const SPACE = '▁';

/**
 * SentencePiece BPE with byte fallback as a tokenizer.json. The file has scores instead of merges: a pair may be merged
 * when both halves and the whole are pieces, the whole with the best score first.
 */
export function sentencePieceTokenizer(
  fields: Fields,
  tokens: readonly string[],
  types: readonly number[],
  order: readonly number[],
): TokenizerParts {
  const scores = fields.numbers('scores');
  if (scores.length !== tokens.length) fields.fail('scores', `${tokens.length} scores, one for each token`);
  const unknown = tokens[fields.number('unknown_token_id', -1)] ?? tokens[types.indexOf(TOKEN_TYPE.unknown)];
  const prefix = fields.flag('add_space_prefix', true);
  const replace = { type: 'Replace', pattern: { String: ' ' }, content: SPACE };
  return {
    model: {
      type: 'BPE',
      dropout: null,
      unk_token: unknown ?? null,
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: true,
      byte_fallback: true,
      ignore_merges: false,
      vocab: vocabulary(tokens, order),
      merges: mergesFromScores(tokens, types, scores),
    },
    normalizer: prefix
      ? { type: 'Sequence', normalizers: [{ type: 'Prepend', prepend: SPACE }, replace] }
      : replace,
    preTokenizer: null,
    decoder: {
      type: 'Sequence',
      decoders: [
        { type: 'Replace', pattern: { String: SPACE }, content: ' ' },
        { type: 'ByteFallback' },
        { type: 'Fuse' },
        ...(prefix ? [{ type: 'Strip', content: ' ', start: 1, stop: 0 }] : []),
      ],
    },
    space: SPACE,
    addBos: true,
  };
}

function mergesFromScores(
  tokens: readonly string[],
  types: readonly number[],
  scores: readonly number[],
): string[][] {
  const mergeable = (id: number) => types[id] === TOKEN_TYPE.normal || types[id] === TOKEN_TYPE.userDefined;
  const ids = new Map<string, number>();
  for (const [id, token] of tokens.entries()) if (mergeable(id)) ids.set(token, id);
  const merges: { left: number; right: number; whole: number }[] = [];
  for (const [token, whole] of ids) {
    const characters = [...token];
    for (let cut = 1; cut < characters.length; cut++) {
      const left = ids.get(characters.slice(0, cut).join(''));
      const right = ids.get(characters.slice(cut).join(''));
      if (left !== undefined && right !== undefined) merges.push({ left, right, whole });
    }
  }
  merges.sort(
    (a, b) =>
      scores[b.whole]! - scores[a.whole]! || a.whole - b.whole || a.left - b.left || a.right - b.right,
  );
  return merges.map(({ left, right }) => [tokens[left]!, tokens[right]!]);
}

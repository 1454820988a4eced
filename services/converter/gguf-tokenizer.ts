import { exactPreTokenizer, sequence, split } from './exact-pretokenizer.ts';
import type { Fields } from './fields.ts';
import { sentencePieceTokenizer } from './sentencepiece.ts';
import { type Json, TOKEN_TYPE, type TokenizerParts, vocabulary } from './tokenizer-parts.ts';

/** What distinguishes one byte-level BPE from another; the rest follows from the vocabulary. */
interface ByteLevelStyle {
  readonly normalizer: Json | null;
  readonly preTokenizer: Json;
  /** A piece that is a token is taken whole, merges or not. */
  readonly ignoreMerges: boolean;
  /** Whether a beginning-of-sequence token is added when the file does not say. */
  readonly addBos: boolean;
}

const byteLevel = (useRegex: boolean): Json => ({
  type: 'ByteLevel',
  add_prefix_space: false,
  trim_offsets: true,
  use_regex: useRegex,
});

/** The pattern of GPT-4's family with runs of digits cut at `digits`. */
const wordPattern = (digits: string): string =>
  `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|${digits}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+`;

const GPT2: ByteLevelStyle = {
  normalizer: null,
  preTokenizer: byteLevel(true),
  ignoreMerges: false,
  addBos: false,
};

/** By `tokenizer.ggml.pre`: the name llama.cpp gives to a pre-tokenizer. Its `default` is what it takes for want of a name. */
const BYTE_LEVEL_STYLES: Readonly<Record<string, ByteLevelStyle>> = {
  'gpt-2': GPT2,
  smollm: { ...GPT2, preTokenizer: sequence({ type: 'Digits', individual_digits: true }, byteLevel(true)) },
  'llama-bpe': {
    normalizer: null,
    preTokenizer: sequence(split(wordPattern('\\p{N}{1,3}')), byteLevel(false)),
    ignoreMerges: true,
    addBos: true,
  },
  qwen2: {
    normalizer: { type: 'NFC' },
    preTokenizer: sequence(split(wordPattern('\\p{N}')), byteLevel(false)),
    ignoreMerges: false,
    addBos: false,
  },
};

const UNNAMED = 'default';

/**
 * Rebuilds tokenizer.json and tokenizer_config.json from GGUF metadata; empty when the file holds no tokenizer.
 * @throws RondoError CHECKPOINT_UNSUPPORTED for a model or pre-tokenizer whose rules are not known here: a wrong guess
 * would give wrong ids without any error; and where two tokens that are written alike would surround each text.
 */
export function tokenizerFromGguf(metadata: Fields): Map<string, Uint8Array> {
  const fields = metadata.under('tokenizer.ggml.');
  if (!fields.has('model') || fields.text('model') === 'none') return new Map();
  const model = fields.text('model');
  const tokens = fields.texts('tokens');
  const types = fields.has('token_type') ? fields.numbers('token_type') : tokens.map(() => TOKEN_TYPE.normal);
  if (types.length !== tokens.length) fields.fail('token_type', `${tokens.length} types, one for each token`);
  const named = (key: string): number | undefined => fields.token(key, tokens.length);
  const [bos, eos] = [named('bos_token_id'), named('eos_token_id')];
  const addEos = fields.flag('add_eos_token', false);
  const order = namedLast(tokens, addEos ? [bos, eos] : [eos, bos]);
  const tokenizer =
    model === 'gpt2'
      ? byteLevelTokenizer(fields, tokens, order)
      : model === 'llama'
        ? sentencePieceTokenizer(fields, tokens, types, order)
        : fields.unsupported('model', 'gpt2, llama');
  const addBos = fields.flag('add_bos_token', tokenizer.addBos);
  if (addBos && bos === undefined && fields.has('bos_token_id')) {
    fields.fail('bos_token_id', `the token that each text begins with, below ${tokens.length}`);
  }
  if (addEos && eos === undefined) fields.fail('eos_token_id', 'the token that add_eos_token adds');
  const text = (id: number | undefined): string | undefined => (id === undefined ? undefined : tokens[id]);
  const [first, last] = [addBos ? text(bos) : undefined, addEos ? text(eos) : undefined];
  if (first !== undefined && first === last && bos !== eos) {
    fields.unsupported(
      'eos_token_id',
      `${bos}, the bos_token_id, for both are written ${first} and both are added`,
    );
  }
  const template = metadata.has('tokenizer.chat_template')
    ? metadata.text('tokenizer.chat_template')
    : undefined;
  const names: Record<string, string | undefined> = {
    bos_token: text(bos),
    eos_token: text(eos),
    unk_token: text(named('unknown_token_id')),
    pad_token: text(named('padding_token_id')),
  };
  return new Map([
    [
      'tokenizer.json',
      encode({
        version: '1.0',
        truncation: null,
        padding: null,
        added_tokens: addedTokens(tokens, types, order, tokenizer.space),
        normalizer: tokenizer.normalizer,
        pre_tokenizer: exactPreTokenizer(tokenizer.preTokenizer),
        post_processor: surrounded(addBos ? bos : undefined, addEos ? eos : undefined, tokens),
        decoder: tokenizer.decoder,
        model: tokenizer.model,
      }),
    ],
    [
      'tokenizer_config.json',
      encode({
        tokenizer_class: 'PreTrainedTokenizerFast',
        add_bos_token: addBos,
        ...(addEos && { add_eos_token: true }),
        clean_up_tokenization_spaces: false,
        ...Object.fromEntries(Object.entries(names).filter(([, token]) => token !== undefined)),
        ...(template !== undefined && { chat_template: template }),
      }),
    ],
  ]);
}

/**
 * All ids in their order, but those of `named` behind what is written alike, the last of them last: readers know a token by its text,
 * and of several the last.
 */
function namedLast(tokens: readonly string[], named: readonly (number | undefined)[]): number[] {
  const ofText = new Map<string, number>();
  for (const id of named) if (id !== undefined) ofText.set(tokens[id]!, id);
  const moved = [...ofText.values()].filter((id) => tokens.lastIndexOf(tokens[id]!) !== id);
  return [...[...tokens.keys()].filter((id) => !moved.includes(id)), ...moved];
}

function byteLevelTokenizer(
  fields: Fields,
  tokens: readonly string[],
  order: readonly number[],
): TokenizerParts {
  const pre = fields.text('pre', UNNAMED);
  const style = Object.hasOwn(BYTE_LEVEL_STYLES, pre) ? BYTE_LEVEL_STYLES[pre] : undefined;
  if (!style) {
    const known = Object.keys(BYTE_LEVEL_STYLES).join(', ');
    return fields.unsupported(
      'pre',
      pre === UNNAMED
        ? `${known}; convert the model again with a newer convert_hf_to_gguf.py, which names it`
        : known,
    );
  }
  return {
    model: {
      type: 'BPE',
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: false,
      byte_fallback: false,
      ignore_merges: style.ignoreMerges,
      vocab: vocabulary(tokens, order),
      merges: fields.texts('merges').map((merge) => merge.split(' ')),
    },
    normalizer: style.normalizer,
    preTokenizer: style.preTokenizer,
    decoder: byteLevel(true),
    space: ' ',
    addBos: style.addBos,
  };
}

/** Added tokens are sought in the raw text, where a space is a space. */
const addedTokens = (
  tokens: readonly string[],
  types: readonly number[],
  order: readonly number[],
  space: string,
): Json[] =>
  order.flatMap((id) => {
    const [token, type] = [tokens[id]!, types[id]];
    if (type !== TOKEN_TYPE.control && type !== TOKEN_TYPE.userDefined && type !== TOKEN_TYPE.unknown)
      return [];
    const special = type !== TOKEN_TYPE.userDefined;
    const content = special ? token : token.replaceAll(space, ' ');
    return [{ id, content, single_word: false, lstrip: false, rstrip: false, normalized: false, special }];
  });

/** Each text between these tokens; null where there are none. */
function surrounded(
  first: number | undefined,
  last: number | undefined,
  tokens: readonly string[],
): Json | null {
  const all = [first, last].filter((id) => id !== undefined);
  if (all.length === 0) return null;
  const added = (id: number | undefined, type: number): Json[] =>
    id === undefined ? [] : [{ SpecialToken: { id: tokens[id], type_id: type } }];
  const text = (name: 'A' | 'B', type: number): Json[] => [
    ...added(first, type),
    { Sequence: { id: name, type_id: type } },
    ...added(last, type),
  ];
  return {
    type: 'TemplateProcessing',
    single: text('A', 0),
    pair: [...text('A', 0), ...text('B', 1)],
    special_tokens: Object.fromEntries(
      all.map((id) => [tokens[id], { id: tokens[id], ids: [id], tokens: [tokens[id]] }]),
    ),
  };
}

const encode = (value: Json): Uint8Array => new TextEncoder().encode(JSON.stringify(value));

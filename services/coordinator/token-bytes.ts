import { RondoError } from '@rondo/core';

/** How a tokenizer's pieces spell bytes: GPT-2's printable alphabet, or SentencePiece's `▁` and `<0xNN>`. */
type Spelling = 'byte-level' | 'pieces';

interface DecoderConfig {
  readonly type?: string;
  readonly decoders?: readonly DecoderConfig[];
  readonly prepend_scheme?: string;
}

/** The parts of a Hugging Face tokenizer.json that say which bytes each id stands for. */
export interface TokenizerJson {
  readonly model: { readonly vocab: Record<string, number> | readonly (readonly [string, number])[] };
  readonly added_tokens?: readonly {
    readonly id: number;
    readonly content: string;
    readonly special?: boolean;
  }[];
  readonly decoder?: DecoderConfig | null;
}

/**
 * The exact bytes behind every token id. Text is made from bytes, not from decoded strings, because a token may end
 * inside a character.
 */
export interface TokenBytes {
  /** Bytes by id; undefined where the vocabulary has a hole. */
  readonly bytes: readonly (Uint8Array | undefined)[];
  /** Control tokens, which generated text leaves out. */
  readonly special: ReadonlySet<number>;
  /** True when a text's first token drops its leading space. */
  readonly stripsLeadingSpace: boolean;
}

/** @throws RondoError BUNDLE_INVALID for a decoder whose tokens have no fixed bytes (WordPiece, CTC). */
export function tokenBytes(file: string, tokenizer: TokenizerJson): TokenBytes {
  const decoders = flatten(tokenizer.decoder ?? undefined);
  const spelling = spellingOf(file, decoders);
  const spell = spelling === 'byte-level' ? byteLevelBytes : pieceBytes;
  const bytes: (Uint8Array | undefined)[] = [];
  const vocab = tokenizer.model.vocab;
  const pieces = isScoredList(vocab)
    ? vocab.map(([piece], id) => [piece, id] as const)
    : Object.entries(vocab);
  for (const [piece, id] of pieces) bytes[id] = spell(piece);
  const special = new Set<number>();
  for (const { id, content, special: control = false } of tokenizer.added_tokens ?? []) {
    // Gemma adds runs of ▁, which its decoder makes spaces of like any piece's. A byte-level one's are plain text.
    bytes[id] = !control && spelling === 'pieces' ? pieceBytes(content) : Buffer.from(content, 'utf8');
    if (control) special.add(id);
  }
  const stripsLeadingSpace = decoders.some(
    (decoder) =>
      decoder.type === 'Strip' || (decoder.type === 'Metaspace' && decoder.prepend_scheme !== 'never'),
  );
  return { bytes, special, stripsLeadingSpace };
}

const isScoredList = (
  vocab: TokenizerJson['model']['vocab'],
): vocab is readonly (readonly [string, number])[] => Array.isArray(vocab);

const flatten = (decoder: DecoderConfig | undefined): DecoderConfig[] =>
  decoder === undefined ? [] : [decoder, ...(decoder.decoders ?? []).flatMap(flatten)];

function spellingOf(file: string, decoders: readonly DecoderConfig[]): Spelling {
  const types = new Set(decoders.map((decoder) => decoder.type));
  if (types.has('ByteLevel')) return 'byte-level';
  if (types.has('ByteFallback') || types.has('Metaspace')) return 'pieces';
  throw new RondoError(
    'BUNDLE_INVALID',
    `${file}: decoder '${[...types].join(' + ') || 'none'}' is not supported; expected ByteLevel, ByteFallback or Metaspace`,
  );
}

/** GPT-2's bytes_to_unicode: printable Latin-1 stands for itself, the other bytes for U+0100 and up, in order. */
const BYTE_OF_CHARACTER: ReadonlyMap<string, number> = (() => {
  const printable = (byte: number) =>
    (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || (byte >= 0xae && byte <= 0xff);
  let moved = 0x100;
  return new Map(
    Array.from({ length: 256 }, (_, byte) => [String.fromCodePoint(printable(byte) ? byte : moved++), byte]),
  );
})();

/** The character that spells `byte` in a byte-level vocabulary. */
export const byteLevelCharacter = (byte: number): string => CHARACTER_OF_BYTE[byte]!;
const CHARACTER_OF_BYTE: readonly string[] = [...BYTE_OF_CHARACTER.keys()];

function byteLevelBytes(piece: string): Uint8Array {
  const bytes: number[] = [];
  for (const character of piece) {
    const byte = BYTE_OF_CHARACTER.get(character);
    // A piece outside the alphabet (a control token listed in the vocabulary itself) is plain text.
    if (byte === undefined) return Buffer.from(piece, 'utf8');
    bytes.push(byte);
  }
  return Uint8Array.from(bytes);
}

function pieceBytes(piece: string): Uint8Array {
  const byte = /^<0x([0-9A-Fa-f]{2})>$/.exec(piece)?.[1];
  return byte === undefined
    ? Buffer.from(piece.replaceAll('▁', ' '), 'utf8')
    : Uint8Array.of(Number.parseInt(byte, 16));
}

import { readFile } from 'node:fs/promises';
import { Tokenizer } from '@huggingface/tokenizers';
import { type Bundle, bundlePath } from '@rondo/bundle';
import { RondoError } from '@rondo/core';
import { type ChatTemplate, parseChatTemplate, specialTokens } from './chat-template.ts';
import { type TokenBytes, type TokenizerJson, tokenBytes } from './token-bytes.ts';

/** tokenizer_config.json */
type TokenizerConfig = Readonly<Record<string, unknown>>;

const NO_BYTES = new Uint8Array(0);

/** Text to token ids and back, as the bundle's own tokenizer files say. */
export class TextCodec {
  /** Absent when the bundle brings no chat template. */
  readonly chatTemplate: ChatTemplate | undefined;
  /** Control tokens by their role (`bos_token` …), as their text; '' for one that the model lacks. */
  readonly specialTokens: Readonly<Record<string, string>>;
  readonly #tokenizer: Tokenizer;
  readonly #table: TokenBytes;
  readonly #longestBytes: number;

  constructor(
    tokenizer: Tokenizer,
    table: TokenBytes,
    config: TokenizerConfig,
    chatTemplate: ChatTemplate | undefined,
  ) {
    this.#tokenizer = tokenizer;
    this.#table = table;
    this.#longestBytes = table.bytes.reduce((longest, bytes) => Math.max(longest, bytes?.length ?? 0), 1);
    this.chatTemplate = chatTemplate;
    this.specialTokens = specialTokens(config);
  }

  /** Token ids of `text`, with the tokenizer's own first and last tokens (BOS …) when `addSpecial`. */
  encode(text: string, addSpecial: boolean): number[] {
    const ids: (number | undefined)[] = this.#tokenizer.encode(text, { add_special_tokens: addSpecial }).ids;
    return ids.filter((id) => id !== undefined);
  }

  /** The fewest tokens that `text` can take: a bound that costs nothing, to refuse what is far too long. */
  fewestTokens(text: string): number {
    return Math.floor(Buffer.byteLength(text, 'utf8') / this.#longestBytes);
  }

  /** Bytes that token `id` adds to a generated text: none for control tokens and for ids without a piece. */
  textBytes(id: number): Uint8Array {
    return this.#table.special.has(id) ? NO_BYTES : this.rawBytes(id);
  }

  /** Bytes that spell token `id`, control tokens included. */
  rawBytes(id: number): Uint8Array {
    return this.#table.bytes[id] ?? NO_BYTES;
  }

  /** The text of each id in order, control tokens included; a character lands on the token that completes it. */
  pieces(ids: readonly number[]): string[] {
    const decoder = new TextDecoder('utf-8', { ignoreBOM: true });
    const pieces = ids.map((id) => decoder.decode(this.rawBytes(id), { stream: true }));
    const last = pieces.length - 1;
    if (last >= 0) pieces[last] += decoder.decode();
    const first = pieces[0];
    if (this.#table.stripsLeadingSpace && first?.startsWith(' ')) pieces[0] = first.slice(1);
    return pieces;
  }

  /** The whole text of `ids`, control tokens included. */
  decode(ids: readonly number[]): string {
    return this.pieces(ids).join('');
  }
}

/**
 * Reads the bundle's tokenizer files; undefined for a bundle that has none and takes token ids only.
 * @throws RondoError BUNDLE_INVALID naming the file that cannot be used.
 */
export async function openText(bundle: Bundle): Promise<TextCodec | undefined> {
  const files = bundle.manifest.tokenizer;
  if (files === undefined) return undefined;
  const path = bundlePath(bundle, files.tokenizer);
  const json = await readJson(path);
  const config = files.config === undefined ? {} : await readJson(bundlePath(bundle, files.config));
  const template =
    files.chatTemplate === undefined
      ? undefined
      : await readFile(bundlePath(bundle, files.chatTemplate), 'utf8');
  const templatePath = bundlePath(bundle, files.chatTemplate ?? files.config ?? files.tokenizer);
  const chatTemplate = usable(`${templatePath}: the chat template`, () =>
    parseChatTemplate(config, template),
  );
  return usable(path, () => {
    const table = tokenBytes(path, json as unknown as TokenizerJson);
    return new TextCodec(new Tokenizer(json, config), table, config, chatTemplate);
  });
}

/** What `read` makes of `what`. @throws RondoError BUNDLE_INVALID naming it. */
function usable<Result>(what: string, read: () => Result): Result {
  try {
    return read();
  } catch (cause) {
    if (cause instanceof RondoError) throw cause;
    throw new RondoError('BUNDLE_INVALID', `${what}: ${(cause as Error).message}`, { cause });
  }
}

async function readJson(path: string): Promise<Record<string, unknown>> {
  const text = await readFile(path, 'utf8');
  try {
    return JSON.parse(text) as Record<string, unknown>;
  } catch (cause) {
    throw new RondoError('BUNDLE_INVALID', `${path}: not JSON`, { cause });
  }
}

import { readFile } from 'node:fs/promises';
import { Tokenizer } from '@huggingface/tokenizers';
import { type Bundle, bundlePath } from '@rondo/bundle';
import { RondoError } from '@rondo/core';

/** A bundle's tokenizer, as text is scored with it: no special tokens but those that the protocol puts in. */
export class TextTokenizer {
  /**
   * What stands before a text that has nothing before it: as for lm-evaluation-harness the tokenizer's beginning of text, or else
   * its end; the model's where the tokenizer names neither.
   */
  readonly prefixId: number;
  /** Whether the tokenizer begins every text with `prefixId` by itself. */
  readonly addsPrefix: boolean;
  readonly #tokenizer: Tokenizer;

  private constructor(tokenizer: Tokenizer, prefixId: number) {
    this.#tokenizer = tokenizer;
    this.prefixId = prefixId;
    this.addsPrefix = tokenizer.encode('a').ids[0] === prefixId;
  }

  /** @throws RondoError CONFIG_INVALID for a bundle without a tokenizer, or without a token to begin a text with. */
  static async of(bundle: Bundle): Promise<TextTokenizer> {
    const { tokenizer: files, tokens } = bundle.manifest;
    if (!files) {
      throw new RondoError(
        'CONFIG_INVALID',
        `${bundle.directory}: has no tokenizer, so text cannot be scored`,
      );
    }
    const path = (file: string) => bundlePath(bundle, file);
    const json = async (file: string) => {
      const text = await readFile(path(file), 'utf8');
      return asPart(path(file), () => JSON.parse(text) as object);
    };
    const config: { bos_token?: unknown; eos_token?: unknown } = files.config ? await json(files.config) : {};
    const parts = await json(files.tokenizer);
    const tokenizer = asPart(path(files.tokenizer), () => new Tokenizer(parts, config));
    const idOf = (token: unknown) => {
      const text = typeof token === 'string' ? token : (token as { content?: unknown } | null)?.content;
      return typeof text === 'string' ? tokenizer.token_to_id(text) : undefined;
    };
    const prefixId = idOf(config.bos_token) ?? idOf(config.eos_token) ?? tokens.bos ?? tokens.eos[0];
    if (prefixId === undefined) {
      throw new RondoError(
        'CONFIG_INVALID',
        `${bundle.directory}: has neither a beginning nor an end of text, one of which must stand before a text`,
      );
    }
    return new TextTokenizer(tokenizer, prefixId);
  }

  encode(text: string): number[] {
    return this.#tokenizer.encode(text, { add_special_tokens: false }).ids;
  }

  decode(ids: readonly number[]): string {
    return ids.length === 0
      ? ''
      : this.#tokenizer.decode([...ids], { skip_special_tokens: false, clean_up_tokenization_spaces: false });
  }
}

/** @throws RondoError BUNDLE_INVALID for a file of a tokenizer that cannot be read as one. */
function asPart<Value>(path: string, read: () => Value): Value {
  try {
    return read();
  } catch (cause) {
    throw new RondoError(
      'BUNDLE_INVALID',
      `${path}: cannot be read as part of a tokenizer: ${(cause as Error).message}`,
      { cause },
    );
  }
}

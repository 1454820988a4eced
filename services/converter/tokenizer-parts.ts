export type Json = Record<string, unknown>;

/** `tokenizer.ggml.token_type` values. */
export const TOKEN_TYPE = { normal: 1, unknown: 2, control: 3, userDefined: 4, unused: 5, byte: 6 } as const;

/** The parts of tokenizer.json that depend on the kind of tokenizer. */
export interface TokenizerParts {
  readonly model: Json;
  readonly normalizer: Json | null;
  readonly preTokenizer: Json | null;
  readonly decoder: Json;
  /** How user-defined tokens write a space. */
  readonly space: string;
  /** Whether a beginning-of-sequence token is added when the file does not say. */
  readonly addBos: boolean;
}

/** Token → id, of tokens written alike the last in `order`. */
export const vocabulary = (tokens: readonly string[], order: readonly number[]): Json =>
  Object.fromEntries(order.map((id) => [tokens[id], id]));

import { RondoError } from '@rondo/core';

/** Typed access to one JSON object or metadata block. Every complaint names file, key, what was expected and found. */
export class Fields {
  readonly file: string;
  readonly #values: Readonly<Record<string, unknown>>;
  readonly #prefix: string;

  constructor(file: string, values: Readonly<Record<string, unknown>>, prefix = '') {
    this.file = file;
    this.#values = values;
    this.#prefix = prefix;
  }

  /** @throws RondoError CHECKPOINT_INVALID when `text` is no JSON object. */
  static parse(file: string, text: string): Fields {
    let value: unknown;
    try {
      value = JSON.parse(text);
    } catch (cause) {
      throw new RondoError('CHECKPOINT_INVALID', `${file}: not JSON: ${(cause as Error).message}`, { cause });
    }
    if (!isRecord(value)) throw new RondoError('CHECKPOINT_INVALID', `${file}: expected a JSON object`);
    return new Fields(file, value);
  }

  /** The same block seen through a key prefix, as in `llama.`. */
  under(prefix: string): Fields {
    return new Fields(this.file, this.#values, this.#prefix + prefix);
  }

  /** The value, or undefined where the key is absent or null. */
  raw(key: string): unknown {
    const full = this.#prefix + key;
    return Object.hasOwn(this.#values, full) ? (this.#values[full] ?? undefined) : undefined;
  }

  /** The keys of the block, prefix and all. */
  keys(): string[] {
    return Object.keys(this.#values);
  }

  /** The whole block as it was parsed. */
  get plain(): Readonly<Record<string, unknown>> {
    return this.#values;
  }

  has(key: string): boolean {
    return this.raw(key) !== undefined;
  }

  /** A positive whole number, at most `max`. */
  count(key: string, fallback?: number, max = 2 ** 31): number {
    const expected = `a whole number from 1 to ${max}`;
    return this.#typed(key, expected, fallback, (value) => isInt(value) && value > 0 && value <= max);
  }

  number(key: string, fallback?: number): number {
    return this.#typed(key, 'a number', fallback, (value) => Number.isFinite(value));
  }

  positive(key: string, fallback?: number): number {
    return this.#typed(key, 'a number above 0', fallback, (value) => Number.isFinite(value) && value > 0);
  }

  flag(key: string, fallback: boolean): boolean {
    return this.#typed(key, 'true or false', fallback, (value) => typeof value === 'boolean');
  }

  text(key: string, fallback?: string): string {
    return this.#typed(key, 'a string', fallback, (value) => typeof value === 'string');
  }

  texts(key: string): readonly string[] {
    return this.#typed<readonly string[]>(key, 'a list of strings', undefined, (value) =>
      isListOf(value, 'string'),
    );
  }

  numbers(key: string): readonly number[] {
    return this.#typed<readonly number[]>(key, 'a list of numbers', undefined, (value) =>
      isListOf(value, 'number'),
    );
  }

  /** Shapes and offsets. */
  sizes(key: string): readonly number[] {
    return this.#typed<readonly number[]>(
      key,
      'a list of whole numbers',
      undefined,
      (value: unknown) => Array.isArray(value) && value.every((item) => isInt(item) && item >= 0),
    );
  }

  /** One token id or a list of them. */
  ids(key: string): number[] {
    const value = this.raw(key);
    const list = value === undefined ? [] : Array.isArray(value) ? value : [value];
    if (!list.every((id) => isInt(id) && id >= 0)) this.fail(key, 'token ids');
    return list;
  }

  /** A token below `vocabulary`; none where the number is outside it: files have any for a token that there is not, as −1. */
  token(key: string, vocabulary: number): number | undefined {
    const id = this.number(key, -1);
    return isInt(id) && id >= 0 && id < vocabulary ? id : undefined;
  }

  object(key: string): Fields | undefined {
    const value = this.raw(key);
    if (value === undefined) return undefined;
    if (!isRecord(value)) this.fail(key, 'an object');
    return new Fields(`${this.file}, ${this.#prefix}${key}`, value);
  }

  fail(key: string, expected: string): never {
    throw new RondoError(
      'CHECKPOINT_INVALID',
      `${this.file}: ${this.#prefix}${key}: expected ${expected}, found ${this.#shown(key)}`,
    );
  }

  /** Refuses a value that is legal but would need something that Rondo does not compute. */
  unsupported(key: string, supported: string): never {
    throw new RondoError(
      'CHECKPOINT_UNSUPPORTED',
      `${this.file}: ${this.#prefix}${key} is ${this.#shown(key)}; supported: ${supported}`,
    );
  }

  #shown(key: string): string {
    const text = JSON.stringify(this.raw(key)) ?? 'nothing';
    return text.length > 80 ? `${text.slice(0, 77)}...` : text;
  }

  #typed<T>(key: string, expected: string, fallback: T | undefined, valid: (value: never) => boolean): T {
    const value = this.raw(key) ?? fallback;
    if (value === undefined || !valid(value as never)) this.fail(key, expected);
    return value as T;
  }
}

const isInt = (value: unknown): value is number => Number.isSafeInteger(value);

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const isListOf = (value: unknown, type: 'string' | 'number'): boolean =>
  Array.isArray(value) && value.every((item) => typeof item === type);

import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import { LIMITS, RondoError } from '@rondo/core';

export interface KeyLimits {
  readonly requestsPerMinute?: number | undefined;
  /** Requests of this key at once. */
  readonly concurrent?: number | undefined;
}

export interface ApiKey extends KeyLimits {
  readonly name: string;
  /** SHA-256 of the key, 32 bytes. */
  readonly hash: Buffer;
}

const NAME = /^[A-Za-z0-9._-]{1,64}$/;
const HASH = /^sha256:([0-9a-f]{64})$/;

/** What a line may say after name and hash. */
const SETTINGS: Readonly<Record<string, keyof KeyLimits>> = {
  rpm: 'requestsPerMinute',
  concurrent: 'concurrent',
};

const digest = (key: string): Buffer => createHash('sha256').update(key).digest();

/** The keys of one file. */
export class ApiKeys {
  readonly #keys: readonly ApiKey[];

  constructor(keys: readonly ApiKey[]) {
    this.#keys = keys;
  }

  get names(): readonly string[] {
    return this.#keys.map(({ name }) => name);
  }

  /** Takes as long whichever key it is, and whether it is one. */
  find(presented: string): ApiKey | undefined {
    const hash = digest(presented);
    let found: ApiKey | undefined;
    for (const key of this.#keys) {
      if (timingSafeEqual(key.hash, hash)) found = key;
    }
    return found;
  }
}

/**
 * Reads a file of keys: one a line, `name sha256:<hex> [rpm=<n>] [concurrent=<n>]`; empty lines and lines from `#` are
 * left out. `path` is for the error.
 * @throws RondoError CONFIG_INVALID naming the line and what is wrong with it, never what it holds
 */
export function parseApiKeys(path: string, text: string): ApiKeys {
  const keys: ApiKey[] = [];
  for (const [index, line] of text.split('\n').entries()) {
    const words = line.replace(/#.*/, '').split(/\s+/).filter(Boolean);
    if (words.length === 0) continue;
    const fault = (reason: string) =>
      new RondoError('CONFIG_INVALID', `${path}, line ${index + 1}: ${reason}`);
    const key = parseLine(words, fault);
    if (keys.some(({ name }) => name === key.name)) throw fault(`a second key named ${key.name}`);
    const twin = keys.find(({ hash }) => hash.equals(key.hash));
    if (twin !== undefined) throw fault(`the same key as ${twin.name}`);
    keys.push(key);
    if (keys.length > LIMITS.apiKeysMax) throw fault(`more than ${LIMITS.apiKeysMax} keys`);
  }
  // A file that is just being written is empty for a moment: that must not shut everybody out.
  if (keys.length === 0) {
    throw new RondoError(
      'CONFIG_INVALID',
      `${path}: holds no key; make one with 'rondo key new --name <name>'`,
    );
  }
  return new ApiKeys(keys);
}

function parseLine(
  [name = '', hash = '', ...settings]: string[],
  fault: (reason: string) => RondoError,
): ApiKey {
  if (!NAME.test(name)) {
    throw fault('the first word must be a name of letters, digits, dots, dashes and underscores, at most 64');
  }
  const [, hex] = HASH.exec(hash) ?? [];
  if (hex === undefined) throw fault('the second word must be sha256: and 64 hexadecimal digits');
  const limits: { -readonly [Name in keyof KeyLimits]: KeyLimits[Name] } = {};
  for (const setting of settings) {
    const [, word = '', digits = ''] = /^([a-z]+)=([1-9]\d{0,8})$/.exec(setting) ?? [];
    const field = Object.hasOwn(SETTINGS, word) ? SETTINGS[word] : undefined;
    if (field === undefined)
      throw fault('after the hash come only rpm=<n> and concurrent=<n>, whole numbers from 1');
    if (limits[field] !== undefined) throw fault(`${word} is given twice`);
    limits[field] = Number(digits);
  }
  return { name, hash: Buffer.from(hex, 'hex'), ...limits };
}

/** A fresh key of 256 random bits, and the line that lets it in. The key itself is kept nowhere. */
export function newApiKey(
  name: string,
  limits: KeyLimits = {},
): { readonly key: string; readonly line: string } {
  if (!NAME.test(name)) {
    throw new RondoError(
      'CONFIG_INVALID',
      `--name ${name || "''"}: expected letters, digits, dots, dashes and underscores, at most 64`,
    );
  }
  const key = `rondo_${randomBytes(32).toString('base64url')}`;
  const settings = Object.entries(SETTINGS).flatMap(([word, field]) =>
    limits[field] === undefined ? [] : [`${word}=${limits[field]}`],
  );
  return { key, line: [name, `sha256:${digest(key).toString('hex')}`, ...settings].join(' ') };
}

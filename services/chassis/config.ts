import { RondoError } from '@rondo/core';

/** One setting: how its text becomes a value. Built by `text`, `integer`, …; read by `settings`. */
export interface Setting<T> {
  /** The environment variable, `RONDO_…`. */
  readonly variable: string;
  /** Undefined: the setting has no default and must be given. */
  readonly fallback: T | undefined;
  /** What a good value looks like, for the error message: "an integer from 1 to 64". */
  readonly expected: string;
  /** Undefined when the text is malformed. */
  readonly parse: (text: string) => T | undefined;
}

type Declared = Readonly<Record<string, Setting<unknown>>>;

export type Settings<D extends Declared> = {
  readonly [Name in keyof D]: D[Name] extends Setting<infer T> ? T : never;
};

export interface SettingSources {
  /** Defaults to the environment of the process. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** Texts of command-line flags by setting name (`kvBytes` for `--kv-bytes`); they win over the environment. */
  readonly flags?: Readonly<Record<string, string | undefined>>;
}

export function text(variable: string, fallback?: string): Setting<string> {
  return { variable, fallback, expected: 'a text', parse: (found) => (found === '' ? undefined : found) };
}

export function integer(variable: string, min: number, max: number, fallback?: number): Setting<number> {
  const parse = (found: string): number | undefined => {
    const value = Number(found);
    return /^-?\d+$/.test(found) && value >= min && value <= max ? value : undefined;
  };
  return { variable, fallback, expected: `an integer from ${min} to ${max}`, parse };
}

const UNIT_BYTES: Readonly<Record<string, number>> = {
  '': 1,
  KiB: 2 ** 10,
  MiB: 2 ** 20,
  GiB: 2 ** 30,
};

export function byteSize(variable: string, fallback?: number): Setting<number> {
  const parse = (found: string): number | undefined => {
    const [, digits = '', unit = ''] = /^(\d+(?:\.\d+)?) ?(|KiB|MiB|GiB)$/.exec(found) ?? [];
    const bytes = Math.floor(Number(digits) * (UNIT_BYTES[unit] ?? 0));
    return Number.isSafeInteger(bytes) && bytes > 0 ? bytes : undefined;
  };
  return { variable, fallback, expected: 'a size in bytes, such as 1073741824, 512MiB or 1.5GiB', parse };
}

export function choice<const T extends string>(
  variable: string,
  choices: readonly T[],
  fallback?: NoInfer<T>,
): Setting<T> {
  const parse = (found: string): T | undefined => choices.find((known) => known === found);
  return { variable, fallback, expected: `one of ${choices.join(', ')}`, parse };
}

export function flag(variable: string, fallback = false): Setting<boolean> {
  const parse = (found: string): boolean | undefined =>
    ['1', 'true'].includes(found) ? true : ['0', 'false'].includes(found) ? false : undefined;
  return { variable, fallback, expected: '1, true, 0 or false', parse };
}

/** Comma-separated values of one kind, at least one. */
export function list<T>(item: Setting<T>, fallback?: readonly T[]): Setting<readonly T[]> {
  const parse = (found: string): readonly T[] | undefined => {
    const values = found.split(',').map((part) => item.parse(part.trim()));
    return values.every((value) => value !== undefined) ? values : undefined;
  };
  return {
    variable: item.variable,
    fallback,
    expected: `values separated by commas, each ${item.expected}`,
    parse,
  };
}

const flagName = (name: string): string =>
  `--${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;

/** The value of one setting, or the complaint about it. */
function compile(name: string, setting: Setting<unknown>, sources: Required<SettingSources>) {
  const flagText = sources.flags[name];
  const found = flagText ?? sources.env[setting.variable];
  if (found === undefined) {
    if (setting.fallback !== undefined) return { value: setting.fallback };
    return { fault: `${setting.variable} or ${flagName(name)} is not set: expected ${setting.expected}` };
  }
  const value = setting.parse(found);
  if (value !== undefined) return { value };
  const source = flagText === undefined ? setting.variable : flagName(name);
  return { fault: `${source}=${JSON.stringify(found)}: expected ${setting.expected}` };
}

/**
 * Three stages: declared (defaults) → found (environment, then flags) → compiled (parsed, frozen).
 * A malformed value never falls back to the default: throws CONFIG_INVALID with every fault found, each on its line.
 */
export function settings<D extends Declared>(declared: D, sources: SettingSources = {}): Settings<D> {
  const given = { env: sources.env ?? process.env, flags: sources.flags ?? {} };
  const compiled = Object.entries(declared).map(([name, setting]) => ({
    name,
    ...compile(name, setting, given),
  }));
  const faults = compiled.flatMap(({ fault }) => (fault === undefined ? [] : [fault]));
  if (faults.length > 0) throw new RondoError('CONFIG_INVALID', faults.join('\n'));
  return Object.freeze(Object.fromEntries(compiled.map(({ name, value }) => [name, value]))) as Settings<D>;
}

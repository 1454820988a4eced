import { RondoError } from '@rondo/core';

/** One setting: how its text becomes a value. Built by `text`, `choice` and `unsetWhenEmpty`; read by `settings`. */
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

/** Any text but the empty one. */
export function text(variable: string, fallback?: string): Setting<string> {
  return { variable, fallback, expected: 'a text', parse: (found) => (found === '' ? undefined : found) };
}

/** One of some words, as they are written. */
export function choice<const T extends string>(
  variable: string,
  choices: readonly T[],
  fallback?: NoInfer<T>,
): Setting<T> {
  const parse = (found: string): T | undefined => choices.find((known) => known === found);
  return { variable, fallback, expected: `one of ${choices.join(', ')}`, parse };
}

/** A setting for which a variable that is set to nothing is one that is not set. */
export const unsetWhenEmpty = <T>(setting: Setting<T>): Setting<T> => ({
  ...setting,
  parse: (found) => (found === '' ? setting.fallback : setting.parse(found)),
});

/** The value of one setting, or the complaint about it. */
function compile({ variable, fallback, expected, parse }: Setting<unknown>, found: string | undefined) {
  if (found === undefined) {
    return fallback === undefined
      ? { fault: `${variable} is not set: expected ${expected}` }
      : { value: fallback };
  }
  const value = parse(found);
  return value === undefined
    ? { fault: `${variable}=${JSON.stringify(found)}: expected ${expected}` }
    : { value };
}

/**
 * Settings from the environment, frozen. A malformed value never falls back to the default.
 * @throws RondoError CONFIG_INVALID with every fault found, each on its line.
 */
export function settings<D extends Declared>(
  declared: D,
  env: Readonly<Record<string, string | undefined>> = process.env,
): Settings<D> {
  const compiled = Object.entries(declared).map(([name, setting]) => ({
    name,
    ...compile(setting, env[setting.variable]),
  }));
  const faults = compiled.flatMap(({ fault }) => (fault === undefined ? [] : [fault]));
  if (faults.length > 0) throw new RondoError('CONFIG_INVALID', faults.join('\n'));
  return Object.freeze(Object.fromEntries(compiled.map(({ name, value }) => [name, value]))) as Settings<D>;
}

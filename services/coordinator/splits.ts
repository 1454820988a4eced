import { LIMITS, RondoError } from '@rondo/core';
import type { ShadowRule, Split } from './variant-policy.ts';

/** How requests are spread over models, beside those that name one. */
export interface Spread {
  readonly splits: readonly Split[];
  readonly shadows: readonly ShadowRule[];
}

export const NO_SPREAD: Spread = { splits: [], shadows: [] };

/**
 * The same spread. `models`: the names of all models.
 * @throws RondoError CONFIG_INVALID for a name that is unknown, taken or there twice, weights that say nothing, or too many splits.
 */
export function checkSpread({ splits, shadows }: Spread, models: readonly string[]): Spread {
  const wrong = (message: string) => new RondoError('CONFIG_INVALID', message);
  const known = (option: string, name: string) => {
    if (models.includes(name)) return;
    throw wrong(`${option}: there is no model '${name}'; --model gives ${quoted(models)}`);
  };
  if (splits.length > LIMITS.splitsMax) {
    throw wrong(`--route is there ${splits.length} times; at most ${LIMITS.splitsMax} names may be split`);
  }
  for (const [index, { name, variants }] of splits.entries()) {
    const option = `--route ${name}`;
    if (models.includes(name)) throw wrong(`${option}: a model has that name; name one of the two otherwise`);
    if (splits.slice(0, index).some((other) => other.name === name)) throw wrong(`${option} is there twice`);
    for (const { model } of variants) known(option, model);
    const twice = repeated(variants.map(({ model }) => model));
    if (twice !== undefined) throw wrong(`${option}: '${twice}' is there twice`);
    if (variants.every(({ weight }) => weight === 0))
      throw wrong(`${option}: one weight at least must be above 0`);
  }
  const names = [...models, ...splits.map(({ name }) => name)];
  for (const { of, model } of shadows) {
    const option = `--shadow ${of}=${model}`;
    if (!names.includes(of)) throw wrong(`${option}: nobody can ask for '${of}'; there are ${quoted(names)}`);
    known(option, model);
    if (of === model) throw wrong(`${option}: a model cannot shadow itself`);
  }
  const twice = repeated(shadows.map(({ of, model }) => `${of}=${model}`));
  if (twice !== undefined) throw wrong(`--shadow ${twice} is there twice`);
  return { splits, shadows };
}

const quoted = (names: readonly string[]): string => names.map((name) => `'${name}'`).join(', ');

const repeated = (names: readonly string[]): string | undefined =>
  names.find((name, index) => names.indexOf(name) < index);

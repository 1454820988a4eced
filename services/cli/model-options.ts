import { type BundlePart, openBundle } from '@rondo/bundle';
import type { NamedBundle } from '@rondo/coordinator';
import { refuse } from './options.ts';

/** A bundle directory, with the name it is served by unless that is the bundle's own. */
export interface ModelFlag {
  readonly name?: string | undefined;
  readonly directory: string;
}

/** What a model or route may be named on the command line: nothing that separates the parts of an option. */
export const MODEL_NAME = /^[A-Za-z0-9][A-Za-z0-9._/-]{0,127}$/;

/** `[name=]directory`, several times. A directory whose path holds = needs the name. */
export const modelsOption =
  (option: string) =>
  (value: string, earlier: ModelFlag[] = []): ModelFlag[] => {
    const equals = value.indexOf('=');
    const name = equals < 0 ? undefined : value.slice(0, equals);
    const directory = value.slice(equals + 1);
    if (directory === '' || (name !== undefined && !MODEL_NAME.test(name))) {
      return refuse(
        option,
        value,
        'a bundle directory, or name=directory with a name of letters, digits and ._/-',
      );
    }
    return [...earlier, { name, directory }];
  };

/** @throws RondoError BUNDLE_INVALID for a directory that holds no sound bundle. */
export const openModels = (flags: readonly ModelFlag[], part?: BundlePart): Promise<NamedBundle[]> =>
  Promise.all(
    flags.map(async ({ name, directory }) => {
      const bundle = await openBundle(directory, part);
      return { name: name ?? bundle.manifest.name, bundle };
    }),
  );

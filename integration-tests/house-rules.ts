import { posix } from 'node:path';
import { isBundled, isTest, type SourceFile, type SourcePackage } from './source-tree.ts';

/** The siblings that each package may depend on. Dependencies run downward only. */
const MAY_USE: Readonly<Record<string, readonly string[]>> = {
  core: [],
  wire: ['core'],
  bundle: ['core'],
  chassis: ['core'],
  engine: ['core', 'bundle', 'chassis'],
  worker: ['core', 'wire', 'bundle', 'chassis', 'engine'],
  coordinator: ['core', 'wire', 'bundle', 'chassis'],
  converter: ['core', 'bundle'],
  lab: ['core', 'bundle', 'engine', 'converter'],
  cli: ['core', 'wire', 'bundle', 'chassis', 'engine', 'worker', 'coordinator', 'converter', 'lab'],
  'integration-tests': [
    ...['core', 'wire', 'bundle', 'chassis', 'engine', 'worker', 'coordinator', 'converter', 'lab'],
  ],
};

/** npm packages that one package of ours keeps to itself. */
const KEPT_BY: Readonly<Record<string, string>> = {
  'onnxruntime-node': 'engine',
  '@grpc/grpc-js': 'wire',
  '@opentelemetry/api': 'chassis',
  '@opentelemetry/exporter-trace-otlp-grpc': 'chassis',
  '@opentelemetry/exporter-trace-otlp-proto': 'chassis',
  '@opentelemetry/resources': 'chassis',
  '@opentelemetry/sdk-trace': 'chassis',
  '@nats-io/jetstream': 'wire',
  '@nats-io/kv': 'wire',
  '@nats-io/obj': 'wire',
  '@nats-io/transport-node': 'wire',
};

const VAGUE_WORDS = ['util', 'utils', 'helper', 'helpers', 'manager', 'common', 'misc', 'stuff', 'iteration'];

const SCOPE = '@rondo/';

/** `@scope/name/inside` → `@scope/name`; undefined for Node's own modules and relative paths. */
function packageOf(specifier: string): string | undefined {
  if (specifier.startsWith('.') || specifier.startsWith('node:')) return undefined;
  return specifier
    .split('/')
    .slice(0, specifier.startsWith('@') ? 2 : 1)
    .join('/');
}

const usedBy = (file: SourceFile): string[] =>
  file.imports.flatMap(({ specifier }) => packageOf(specifier) ?? []);

/** Each manifest names only siblings below it, and npm packages that it may have. */
export const forbiddenDependencies = (packages: readonly SourcePackage[]): string[] =>
  packages.flatMap(({ name, dependencies }) => {
    const allowed = MAY_USE[name];
    if (allowed === undefined) return [`${name}: not in the table of packages`];
    return dependencies
      .filter((dependency) =>
        dependency.startsWith(SCOPE)
          ? !allowed.includes(dependency.slice(SCOPE.length))
          : (KEPT_BY[dependency] ?? name) !== name,
      )
      .map((dependency) => `${name} must not depend on ${dependency}`);
  });

/** Each import of a package is in the manifest. Tests may use its devDependencies and the `testTools`, pages the former. */
export const undeclaredImports = (
  packages: readonly SourcePackage[],
  testTools: readonly string[],
): string[] =>
  packages.flatMap(({ name, dependencies, devDependencies, files }) =>
    files.flatMap((file) => {
      const tested = isTest(file) || name === 'integration-tests';
      const more = [...(tested || isBundled(file) ? devDependencies : []), ...(tested ? testTools : [])];
      return usedBy(file)
        .filter((used) => !dependencies.includes(used) && !more.includes(used))
        .map((used) => `${name}/${file.path} imports ${used}, which its manifest does not name`);
    }),
  );

/** Each dependency of a manifest is imported somewhere. */
export const unusedDependencies = (packages: readonly SourcePackage[]): string[] =>
  packages.flatMap(({ name, dependencies, devDependencies, files }) => {
    const used = new Set(files.flatMap(usedBy));
    return [...dependencies, ...devDependencies]
      .filter((dependency) => !used.has(dependency))
      .map((dependency) => `${name} names ${dependency} but does not use it`);
  });

/** Siblings are entered through their index alone. */
export const deepImports = (packages: readonly SourcePackage[]): string[] =>
  packages.flatMap(({ name, files }) =>
    files.flatMap((file) =>
      file.imports
        .map(({ specifier }) => specifier)
        .filter(
          (specifier) =>
            (specifier.startsWith(SCOPE) && specifier.split('/').length > 2) ||
            (specifier.startsWith('.') && resolveWithin(file, specifier).startsWith('..')),
        )
        .map((specifier) => `${name}/${file.path} reaches into ${specifier}`),
    ),
  );

/** Settings come from the chassis: no other service reads the environment. */
export const environmentReads = (packages: readonly SourcePackage[]): string[] =>
  packages
    .filter(({ name }) => name !== 'chassis' && name !== 'integration-tests')
    .flatMap(({ name, files }) =>
      files.filter((file) => file.readsEnvironment).map((file) => `${name}/${file.path} reads process.env`),
    );

/** File names are nouns in kebab case, and say what is inside. */
export const vagueNames = (packages: readonly SourcePackage[]): string[] =>
  packages.flatMap(({ name, files }) =>
    files
      .filter(({ path }) => {
        const words = path.replace(/(\.test|\.d)?\.tsx?$/, '').split(/[/-]/);
        return words.some((word) => !/^[a-z0-9]+$/.test(word) || VAGUE_WORDS.includes(word));
      })
      .map((file) => `${name}/${file.path}`),
  );

/** Files of one package load each other in one direction; types may refer to each other. */
export const importCycles = (packages: readonly SourcePackage[]): string[] =>
  packages.flatMap(({ name, files }) => {
    const importsOf = new Map(files.map((file) => [file.path, localImports(file)]));
    const state = new Map<string, 'open' | 'done'>();
    const cycles: string[] = [];
    const visit = (path: string, trail: readonly string[]): void => {
      if (state.get(path) === 'done') return;
      if (state.get(path) === 'open') {
        cycles.push(`${name}: ${[...trail.slice(trail.indexOf(path)), path].join(' → ')}`);
        return;
      }
      state.set(path, 'open');
      for (const next of importsOf.get(path) ?? []) visit(next, [...trail, path]);
      state.set(path, 'done');
    };
    for (const path of importsOf.keys()) visit(path, []);
    return cycles;
  });

const resolveWithin = (file: SourceFile, specifier: string): string =>
  posix.join(posix.dirname(file.path), specifier);

const localImports = (file: SourceFile): string[] =>
  file.imports
    .filter(({ specifier, typeOnly }) => specifier.startsWith('.') && !typeOnly)
    .map(({ specifier }) => resolveWithin(file, specifier));

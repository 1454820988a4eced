import { posix } from 'node:path';

/** A package as package-lock.json knows it, by its directory. */
export interface LockedPackage {
  readonly name?: string;
  readonly version?: string;
  readonly resolved?: string;
  readonly integrity?: string;
  readonly license?: string;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
  readonly peerDependencies?: Readonly<Record<string, string>>;
}

interface NpmComponent {
  readonly 'bom-ref': string;
  readonly type: 'library';
  readonly name: string;
  readonly version: string;
  readonly purl: string;
  readonly licenses?: readonly object[];
  readonly hashes?: readonly { readonly alg: string; readonly content: string }[];
  readonly externalReferences?: readonly { readonly type: string; readonly url: string }[];
}

/**
 * Packages that are there, as CycloneDX lists them, with which of them need which. One that is in several directories in one version is
 * listed once.
 * @param there directories relative to the lock file, with the version found there
 * @throws Error naming those that the lock file does not know, or knows in another version
 */
export function npmPackages(
  there: readonly { readonly path: string; readonly version: string }[],
  locked: Readonly<Record<string, LockedPackage>>,
) {
  const unknown = there.filter(({ path, version }) => locked[path]?.version !== version);
  if (unknown.length > 0) {
    const told = unknown.map(({ path, version }) => `${path}@${version}`).join(', ');
    throw new Error(`package-lock.json does not know what is in the image: ${told}`);
  }
  const paths = new Set(there.map(({ path }) => path));
  const components = new Map<string, NpmComponent>();
  const needs = new Map<string, Set<string>>();
  for (const path of paths) {
    const component = componentOf(path, locked[path]!);
    const ref = component['bom-ref'];
    components.set(ref, component);
    const own = needs.get(ref) ?? new Set();
    needs.set(ref, own);
    const { dependencies, optionalDependencies, peerDependencies } = locked[path]!;
    for (const name of Object.keys({ ...dependencies, ...optionalDependencies, ...peerDependencies })) {
      const found = resolve(name, path, paths, locked);
      if (found !== undefined) own.add(componentOf(found, locked[found]!)['bom-ref']);
    }
  }
  const byRef = (a: string, b: string) => (a < b ? -1 : 1);
  return {
    components: [...components.values()].sort((a, b) => byRef(a['bom-ref'], b['bom-ref'])),
    dependencies: [...needs]
      .map(([ref, dependsOn]) => ({ ref, dependsOn: [...dependsOn].sort(byRef) }))
      .sort((a, b) => byRef(a.ref, b.ref)),
  };
}

/** Where node finds the package `name` from the directory `from`; undefined when it is not there, as packages of other platforms are not. */
function resolve(
  name: string,
  from: string,
  paths: ReadonlySet<string>,
  locked: Readonly<Record<string, LockedPackage>>,
): string | undefined {
  for (let directory = from; ; directory = posix.dirname(directory)) {
    const path = posix.join(directory, 'node_modules', name);
    if (paths.has(path)) return path;
    // A workspace of ours: node_modules has a link to it.
    const linked = locked[path]?.resolved;
    if (linked !== undefined && paths.has(linked)) return linked;
    if (directory === '.') return undefined;
  }
}

function componentOf(path: string, locked: LockedPackage): NpmComponent {
  const { version = '', license, integrity, resolved } = locked;
  const name = locked.name ?? path.slice(path.lastIndexOf('node_modules/') + 'node_modules/'.length);
  const [algorithm, digest] = integrity?.split('-') ?? [];
  return {
    'bom-ref': `${name}@${version}`,
    type: 'library',
    name,
    version,
    purl: `pkg:npm/${name.replace('@', '%40')}@${encodeURIComponent(version)}`,
    ...(license && {
      licenses: [/\s/.test(license) ? { expression: license } : { license: { id: license } }],
    }),
    ...(digest && {
      hashes: [
        {
          alg: algorithm!.replace('sha', 'SHA-'),
          content: Buffer.from(digest, 'base64').toString('hex'),
        },
      ],
    }),
    ...(resolved?.startsWith('https:') && { externalReferences: [{ type: 'distribution', url: resolved }] }),
  };
}

/**
 * `make sbom`: what an image is made of, as CycloneDX on standard output. Which packages of npm and of the distribution there are, and
 * which node, is read in the image itself; where a package came from, its digest and licence are the lock file's. A package that the
 * lock file does not know is an error. Argument: the image, such as rondo-worker:dev.
 */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { debianPackages } from './debian-packages.ts';
import { type LockedPackage, npmPackages } from './npm-packages.ts';

/** What the image says of itself. */
interface Contents {
  /** Directories of packages, relative to the root of the repository, and the version of each. */
  readonly packages: readonly { readonly path: string; readonly version: string }[];
  readonly versions: Readonly<Record<string, string>>;
  /** /etc/os-release. */
  readonly os: string;
  /** dpkg's own lists, one text each. */
  readonly dpkg: readonly string[];
}

/** Runs in the image, which has node and no shell. */
const LOOK = String.raw`
const { globSync, readFileSync } = require('node:fs');
const read = (path) => readFileSync(path, 'utf8');
// Files of that name deeper in a package are nobody's manifest.
const isManifest = (path) => /(node_modules\/(@[^/]+\/)?|services\/)[^/]+\/package\.json$/.test(path);
const packages = ['node_modules/**', 'services/*']
  .flatMap((where) => globSync(where + '/package.json', { cwd: '/rondo' }))
  .filter(isManifest)
  .map((path) => ({ path: path.replace('/package.json', ''), version: JSON.parse(read('/rondo/' + path)).version }));
const dpkg = [...globSync('/var/lib/dpkg/status'), ...globSync('/var/lib/dpkg/status.d/*')].map(read);
console.log(JSON.stringify({ packages, versions: process.versions, os: read('/etc/os-release'), dpkg }));
`;

const look = (image: string): Contents =>
  JSON.parse(
    execFileSync('docker', ['run', '--rm', '--network=none', '--entrypoint=node', image, '-e', LOOK], {
      encoding: 'utf8',
      maxBuffer: 1e8,
    }),
  );

/** Versions that node tells of itself and that no library has. */
const NO_LIBRARIES = ['node', 'modules', 'napi', 'unicode', 'cldr', 'tz'];

const generic = (type: string, name: string, version: string, within = '') => ({
  'bom-ref': `${within}${name}@${version}`,
  type,
  name,
  version,
  purl: `pkg:generic/${name}@${encodeURIComponent(version)}`,
});

const nodeOf = (versions: Contents['versions']) => ({
  ...generic('application', 'node', versions.node!),
  components: Object.entries(versions)
    .filter(([name]) => !NO_LIBRARIES.includes(name))
    .map(([name, version]) => generic('library', name, version, 'node/')),
});

const [image = ''] = process.argv.slice(2);
const { packages, versions, os, dpkg } = look(image);
const lock = JSON.parse(readFileSync(new URL('../../package-lock.json', import.meta.url), 'utf8')) as {
  readonly packages: Readonly<Record<string, LockedPackage>>;
};
const { components, dependencies } = npmPackages(packages, lock.packages);
const [, name = image, tag = 'latest'] = /^(.*?)(?::([^/]*))?$/.exec(image) ?? [];
const bom = {
  bomFormat: 'CycloneDX',
  specVersion: '1.5',
  serialNumber: `urn:uuid:${crypto.randomUUID()}`,
  version: 1,
  metadata: { timestamp: new Date().toISOString(), component: generic('container', name, tag) },
  components: [...components, nodeOf(versions), ...debianPackages(dpkg, os)],
  dependencies,
};
console.log(JSON.stringify(bom, undefined, 2));

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { npmPackages } from './npm-packages.ts';

const LOCK = {
  'services/app': { name: '@us/app', version: '0.1.0', dependencies: { a: '1', '@us/base': '*' } },
  'services/base': { name: '@us/base', version: '0.1.0' },
  'node_modules/@us/base': { resolved: 'services/base' },
  'node_modules/a': {
    version: '1.0.0',
    resolved: 'https://registry.example/a-1.0.0.tgz',
    integrity: 'sha512-AAEC',
    license: 'MIT',
    dependencies: { b: '2' },
    optionalDependencies: { 'only-elsewhere': '1' },
  },
  'node_modules/b': { version: '1.0.0' },
  'node_modules/a/node_modules/b': { version: '2.0.0', license: '(MIT OR Apache-2.0)' },
};
const at = (...paths: (keyof typeof LOCK)[]) =>
  paths.map((path) => ({ path, version: (LOCK[path] as { version: string }).version }));

test('packages are listed with licence, digest and source, and with those they find', () => {
  const { components, dependencies } = npmPackages(
    at('services/app', 'services/base', 'node_modules/a', 'node_modules/a/node_modules/b'),
    LOCK,
  );
  assert.deepEqual(
    components.map(({ purl }) => purl),
    ['pkg:npm/%40us/app@0.1.0', 'pkg:npm/%40us/base@0.1.0', 'pkg:npm/a@1.0.0', 'pkg:npm/b@2.0.0'],
  );
  assert.deepEqual(components[2], {
    'bom-ref': 'a@1.0.0',
    type: 'library',
    name: 'a',
    version: '1.0.0',
    purl: 'pkg:npm/a@1.0.0',
    licenses: [{ license: { id: 'MIT' } }],
    hashes: [{ alg: 'SHA-512', content: '000102' }],
    externalReferences: [{ type: 'distribution', url: 'https://registry.example/a-1.0.0.tgz' }],
  });
  assert.deepEqual(components[3]!.licenses, [{ expression: '(MIT OR Apache-2.0)' }]);
  assert.deepEqual(dependencies, [
    { ref: '@us/app@0.1.0', dependsOn: ['@us/base@0.1.0', 'a@1.0.0'] },
    { ref: '@us/base@0.1.0', dependsOn: [] },
    { ref: 'a@1.0.0', dependsOn: ['b@2.0.0'] },
    { ref: 'b@2.0.0', dependsOn: [] },
  ]);
});

test('what the lock file does not know, or knows in another version, is named', () => {
  const there = [
    { path: 'node_modules/a', version: '1.0.1' },
    { path: 'node_modules/stray', version: '1.0.0' },
  ];
  assert.throws(() => npmPackages(there, LOCK), /node_modules\/a@1\.0\.1, node_modules\/stray@1\.0\.0/);
});

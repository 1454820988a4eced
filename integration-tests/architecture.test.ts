import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import {
  deepImports,
  environmentReads,
  forbiddenDependencies,
  importCycles,
  undeclaredImports,
  unusedDependencies,
  vagueNames,
} from './house-rules.ts';
import { readPackages, type SourcePackage, sourceFile, testTools } from './source-tree.ts';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const packages = readPackages(ROOT);
const tools = testTools(ROOT);

/** A package made up to break a rule. */
const wrong = (
  name: string,
  dependencies: readonly string[],
  files: Readonly<Record<string, string>> = {},
): SourcePackage[] => [
  {
    name,
    dependencies,
    devDependencies: [],
    files: Object.entries(files).map(([path, text]) => sourceFile(path, text)),
  },
];

test('the house has its ten packages and its integration tests', () => {
  assert.deepEqual(packages.map(({ name }) => name).sort(), [
    ...['bundle', 'chassis', 'cli', 'converter', 'coordinator', 'core', 'engine'],
    ...['integration-tests', 'lab', 'wire', 'worker'],
  ]);
});

test('dependencies run downward, and each library is kept by its one owner', () => {
  assert.deepEqual(forbiddenDependencies(packages), []);
  assert.equal(forbiddenDependencies(wrong('coordinator', ['@rondo/engine'])).length, 1);
  assert.equal(forbiddenDependencies(wrong('core', ['@rondo/bundle'])).length, 1);
  assert.equal(forbiddenDependencies(wrong('converter', ['onnxruntime-node'])).length, 1);
  assert.equal(forbiddenDependencies(wrong('worker', ['@grpc/grpc-js'])).length, 1);
  assert.equal(forbiddenDependencies(wrong('attic', [])).length, 1);
});

test('every import is declared in the manifest, and every dependency is used', () => {
  assert.deepEqual(undeclaredImports(packages, tools), []);
  assert.deepEqual(unusedDependencies(packages), []);
  const files = {
    'a.ts': "import type { X } from '@rondo/core'; export * from 'zod'; await import('fastify/lib');",
    'a.test.ts': "import fc from 'fast-check';",
  };
  assert.equal(undeclaredImports(wrong('bundle', [], files), ['fast-check']).length, 3);
  assert.equal(unusedDependencies(wrong('bundle', ['zod', 'pino'], files)).length, 1);
});

test('packages are entered through their index', () => {
  assert.deepEqual(deepImports(packages), []);
  const files = { 'a.ts': "import '@rondo/core/depth.ts'; import '../core/depth.ts'; import './b.ts';" };
  assert.equal(deepImports(wrong('wire', [], files)).length, 2);
});

test('only the chassis reads the environment', () => {
  assert.deepEqual(environmentReads(packages), []);
  const files = {
    'a.ts': 'process.env.HOME;',
    'b.ts': "import { env } from 'node:process';",
    'c.ts': '// process.env',
  };
  assert.equal(environmentReads(wrong('cli', [], files)).length, 2);
  assert.equal(environmentReads(wrong('chassis', [], files)).length, 0);
});

test('files of a package load each other in one direction', () => {
  assert.deepEqual(importCycles(packages), []);
  const files = {
    'a.ts': "import './b.ts';",
    'b.ts': "import './deep/c.ts';",
    'deep/c.ts': "import '../a.ts';",
    'd.ts': "import type { E } from './e.ts';",
    'e.ts': "import './d.ts';",
  };
  assert.deepEqual(importCycles(wrong('core', [], files)), ['core: a.ts → b.ts → deep/c.ts → a.ts']);
});

test('file names are nouns that say what is inside', () => {
  assert.deepEqual(vagueNames(packages), []);
  const files = { 'string-utils.ts': '', 'kvStore.ts': '', 'page-pool.test.ts': '' };
  assert.deepEqual(vagueNames(wrong('engine', [], files)), ['engine/string-utils.ts', 'engine/kvStore.ts']);
});

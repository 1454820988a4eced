import { globSync, readFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import ts from 'typescript';

/** One TypeScript file of a package. */
export interface SourceFile {
  /** Relative to its package, such as `page-pool.ts`. */
  readonly path: string;
  readonly text: string;
  /** Every module it names: static and dynamic imports, re-exports, type imports. */
  readonly imports: readonly string[];
}

/** A workspace: what its manifest promises and what its files do. */
export interface SourcePackage {
  readonly name: string;
  readonly dependencies: readonly string[];
  readonly files: readonly SourceFile[];
}

interface PackageManifest {
  readonly name: string;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly devDependencies?: Readonly<Record<string, string>>;
}

const readManifest = (path: string) => JSON.parse(readFileSync(path, 'utf8')) as PackageManifest;

export const isTest = (file: SourceFile): boolean => file.path.endsWith('.test.ts');

export function sourceFile(path: string, text: string): SourceFile {
  const imports = ts.preProcessFile(text, true, true).importedFiles.map((reference) => reference.fileName);
  return { path, text, imports: [...new Set(imports)] };
}

/** All workspaces below `root`, by directory name. */
export function readPackages(root: string): SourcePackage[] {
  return globSync(['services/*/package.json', 'integration-tests/package.json'], { cwd: root }).map(
    (path) => {
      const directory = join(root, dirname(path));
      const manifest = readManifest(join(root, path));
      if (manifest.name !== `@rondo/${basename(directory)}`)
        throw new Error(`${path}: name is ${manifest.name}`);
      const files = globSync('**/*.ts', { cwd: directory, exclude: ['**/node_modules/**'] }).sort();
      return {
        name: basename(directory),
        dependencies: Object.keys(manifest.dependencies ?? {}),
        files: files.map((file) => sourceFile(file, readFileSync(join(directory, file), 'utf8'))),
      };
    },
  );
}

/** What any package's tests may use besides their own manifest. */
export const testTools = (root: string): string[] =>
  Object.keys(readManifest(join(root, 'package.json')).devDependencies ?? {});

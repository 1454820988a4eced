import { globSync, readFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import ts from 'typescript';

/** A module that a file names, by import, re-export, dynamic import or import type. */
export interface Import {
  readonly specifier: string;
  /** Erased before the program runs. */
  readonly typeOnly: boolean;
}

/** One TypeScript file of a package. */
export interface SourceFile {
  /** Relative to its package, such as `page-pool.ts`. */
  readonly path: string;
  readonly imports: readonly Import[];
  /** Whether it touches `process.env`. */
  readonly readsEnvironment: boolean;
}

/** A workspace: what its manifest promises and what its files do. */
export interface SourcePackage {
  readonly name: string;
  readonly dependencies: readonly string[];
  /** What only its tests use, and what is bundled. */
  readonly devDependencies: readonly string[];
  readonly files: readonly SourceFile[];
}

interface PackageManifest {
  readonly name: string;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly devDependencies?: Readonly<Record<string, string>>;
}

const readManifest = (path: string) => JSON.parse(readFileSync(path, 'utf8')) as PackageManifest;

export const isTest = (file: SourceFile): boolean => file.path.endsWith('.test.ts');

/** Part of a page: a browser runs it, with its libraries bundled into it beforehand. */
export const isBundled = (file: SourceFile): boolean => file.path.startsWith('console/');

/** What `text`, the content of the file at `path`, imports and reads. */
export function sourceFile(path: string, text: string): SourceFile {
  const imports: Import[] = [];
  let readsEnvironment = false;
  const visit = (node: ts.Node): void => {
    const named = importOf(node);
    if (named) imports.push(named);
    if (ts.isPropertyAccessExpression(node) && node.getText().replaceAll(/\s/g, '') === 'process.env') {
      readsEnvironment = true;
    }
    if (ts.isImportSpecifier(node) && (node.propertyName ?? node.name).text === 'env')
      readsEnvironment = true;
    ts.forEachChild(node, visit);
  };
  visit(ts.createSourceFile(path, text, ts.ScriptTarget.ESNext, true));
  return { path, imports, readsEnvironment };
}

function importOf(node: ts.Node): Import | undefined {
  if (ts.isImportDeclaration(node)) {
    return { specifier: literal(node.moduleSpecifier), typeOnly: node.importClause?.isTypeOnly ?? false };
  }
  if (ts.isExportDeclaration(node) && node.moduleSpecifier) {
    return { specifier: literal(node.moduleSpecifier), typeOnly: node.isTypeOnly };
  }
  if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword) {
    return { specifier: literal(node.arguments[0]), typeOnly: false };
  }
  if (ts.isImportTypeNode(node) && ts.isLiteralTypeNode(node.argument)) {
    return { specifier: literal(node.argument.literal), typeOnly: true };
  }
  return undefined;
}

/** A module named by anything but a literal escapes every rule, so it breaks them all. */
const literal = (node: ts.Node | undefined): string =>
  node && ts.isStringLiteralLike(node) ? node.text : '(computed)';

/** All workspaces below `root`, by directory name. */
export function readPackages(root: string): SourcePackage[] {
  return globSync(['services/*/package.json', 'integration-tests/package.json'], { cwd: root }).map(
    (path) => {
      const directory = join(root, dirname(path));
      const manifest = readManifest(join(root, path));
      if (manifest.name !== `@rondo/${basename(directory)}`)
        throw new Error(`${path}: name is ${manifest.name}`);
      const files = globSync('**/*.{ts,tsx}', {
        cwd: directory,
        exclude: ['**/node_modules/**'],
      }).sort();
      return {
        name: basename(directory),
        dependencies: Object.keys(manifest.dependencies ?? {}),
        devDependencies: Object.keys(manifest.devDependencies ?? {}),
        files: files.map((file) => sourceFile(file, readFileSync(join(directory, file), 'utf8'))),
      };
    },
  );
}

/** What the tests of every package may use besides their own manifest. */
export const testTools = (root: string): string[] =>
  Object.keys(readManifest(join(root, 'package.json')).devDependencies ?? {});

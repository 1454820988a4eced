import { copyFile, readFile, rename, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

/** Bundles the page into `built/`, which the coordinator serves: one script and one style sheet, with their libraries in them. */
const HERE = dirname(fileURLToPath(import.meta.url));
const BUILT = join(HERE, 'built');
const BUNDLED = ['preact', 'uplot'];

const { resolve } = createRequire(import.meta.url);

/** Whoever gets the bundle gets the licences of what is in it. */
async function licences(): Promise<string> {
  const texts = BUNDLED.map(async (name) => {
    const manifest = resolve(`${name}/package.json`);
    return `${name}\n\n${await readFile(join(dirname(manifest), 'LICENSE'), 'utf8')}`;
  });
  return `/*\n${(await Promise.all(texts)).join('\n')}*/`;
}

// Moved into place when whole: a coordinator may be starting.
const fresh = `${BUILT}.${process.pid}`;
await build({
  entryPoints: { console: join(HERE, 'main.tsx') },
  outdir: fresh,
  bundle: true,
  minify: true,
  format: 'esm',
  target: 'es2022',
  jsx: 'automatic',
  jsxImportSource: 'preact',
  legalComments: 'none',
  banner: { js: await licences() },
  logLevel: 'warning',
});
await copyFile(join(HERE, 'index.html'), join(fresh, 'index.html'));
await rm(BUILT, { recursive: true, force: true });
await rename(fresh, BUILT);

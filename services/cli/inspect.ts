import { readdir, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { bundleBytes, MANIFEST_FILE, openBundle, pagedKvBytesPerToken } from '@rondo/bundle';
import { openCheckpoint, parametersOf } from '@rondo/converter';
import { RondoError } from '@rondo/core';
import { Command } from 'commander';
import { bundleRows, checkpointRows, rowsText, type SizedFile } from './inspect-table.ts';

/** `rondo inspect`: what lies in a directory, without serving it. */
export const inspectCommand = (): Command =>
  new Command('inspect')
    .description('say what a bundle or a checkpoint is: shapes, loop, exits, K and V, files')
    .argument('<path>', 'a bundle directory, a Hugging Face directory or a .gguf file')
    .option('--json', 'everything as JSON, a bundle with its whole manifest', false)
    .addHelpText(
      'after',
      `
A bundle is verified on the way: sizes and sha256 of all its files. Its digest is what a worker announces, and a coordinator
takes workers of that digest only. K and V are what --kv-mb of a worker is spent on.

Examples:
  rondo inspect bundles/looped
  rondo inspect bundles/looped --json | jq .kvBytesPerToken
  rondo inspect .cache/checkpoints/smollm2-135m-instruct`,
    )
    .action(inspect);

async function inspect(path: string, { json }: { json: boolean }): Promise<void> {
  const isBundle = await stat(join(path, MANIFEST_FILE)).catch(() => undefined);
  const text = isBundle ? await inspectBundle(path, json) : await inspectCheckpoint(path, json);
  process.stdout.write(text);
}

async function inspectBundle(path: string, json: boolean): Promise<string> {
  const { directory, manifest, digest } = await openBundle(path);
  if (!json) return rowsText(bundleRows(manifest, directory, digest));
  const bytes = bundleBytes(manifest);
  return `${JSON.stringify({ kind: 'bundle', path: directory, digest, bytes, kvBytesPerToken: pagedKvBytesPerToken(manifest), manifest }, null, 2)}\n`;
}

async function inspectCheckpoint(path: string, json: boolean): Promise<string> {
  await refusePart(path);
  const checkpoint = await openCheckpoint(path).catch((error: unknown) => {
    throw neither(error);
  });
  try {
    const { model, name, format, licence, tokenizerFiles, exported } = checkpoint;
    const facts = {
      path: checkpoint.path,
      name,
      format,
      licence,
      parameters: parametersOf(model),
      exported: exported !== undefined,
      hasTokenizer: tokenizerFiles.has('tokenizer.json'),
      files: await filesAt(checkpoint.path),
    };
    if (!json) return rowsText(checkpointRows(model, facts));
    return `${JSON.stringify({ kind: 'checkpoint', ...facts, model }, null, 2)}\n`;
  } finally {
    await checkpoint.close();
  }
}

/** A file of a bundle is neither: what is asked for is the directory around it. */
async function refusePart(path: string): Promise<void> {
  const parent = dirname(path);
  const beside = await stat(join(parent, MANIFEST_FILE)).catch(() => undefined);
  const itself = await stat(path).catch(() => undefined);
  if (!beside || !itself?.isFile()) return;
  throw new RondoError('BUNDLE_INVALID', `${path}: a file of a bundle; give its directory: ${parent}`);
}

/** Of a directory that is no checkpoint either, what would make it a bundle. */
function neither(error: unknown): unknown {
  if (!(error instanceof RondoError) || !error.message.includes('not a checkpoint')) return error;
  const message = `${error.message}; nor is it a bundle, which has a ${MANIFEST_FILE}: give the directory that rondo convert --out wrote`;
  return new RondoError(error.code, message, { cause: error });
}

/** Plain files of a directory, or the file itself. */
async function filesAt(path: string): Promise<SizedFile[]> {
  const info = await stat(path);
  if (!info.isDirectory()) return [{ path: basename(path), bytes: info.size }];
  const names = (await readdir(path)).sort();
  const files = await Promise.all(
    names.map(async (name) => ({ path: name, info: await stat(join(path, name)) })),
  );
  return files
    .filter((file) => file.info.isFile())
    .map((file) => ({ path: file.path, bytes: file.info.size }));
}

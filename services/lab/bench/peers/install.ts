import { execFile } from 'node:child_process';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { RondoError } from '@rondo/core';
import type { SuiteContext } from '../suite.ts';

const OUTPUT_BYTES = 16 * 1024 * 1024;

/**
 * Runs a program to its end and returns its standard output.
 * @throws RondoError SOURCE_UNREACHABLE with the last lines that it wrote to standard error.
 */
export async function runTool(
  context: SuiteContext,
  file: string,
  args: readonly string[],
  cwd?: string,
): Promise<string> {
  const { signal } = context;
  const options = { signal, maxBuffer: OUTPUT_BYTES, ...(cwd !== undefined && { cwd }) };
  try {
    return (await promisify(execFile)(file, [...args], options)).stdout;
  } catch (cause) {
    const { stderr = '', message } = cause as Error & { stderr?: string };
    const reason = stderr.trim().split('\n').slice(-3).join(' ') || message;
    throw new RondoError('SOURCE_UNREACHABLE', `${file} ${args.join(' ')}: ${reason}`, { cause });
  }
}

/**
 * Installs npm packages (`name@version`) into `<cache>/peers/<name>`, apart from Rondo's own, and returns that
 * directory. No package runs code at install.
 */
export async function installPackages(
  context: SuiteContext,
  name: string,
  packages: readonly string[],
  flags: readonly string[] = [],
): Promise<string> {
  const directory = join(context.cache, 'peers', name);
  const stamp = join(directory, '.installed');
  const wanted = packages.join(' ');
  if ((await readFile(stamp, 'utf8').catch(() => '')) === wanted) return directory;
  context.progress(`installing ${wanted}`);
  await mkdir(directory, { recursive: true });
  await writeFile(join(directory, 'package.json'), '{ "private": true, "type": "module" }\n');
  const quiet = ['--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'];
  await runTool(context, 'npm', ['install', ...quiet, ...flags, ...packages], directory);
  await writeFile(stamp, wanted);
  return directory;
}

import { appendFile, readFile } from 'node:fs/promises';
import { newApiKey, parseApiKeys } from '@rondo/coordinator';
import { RondoError } from '@rondo/core';
import { Command } from 'commander';
import { countOption } from './options.ts';

interface NewKeyFlags {
  readonly name: string;
  readonly rpm?: number;
  readonly concurrent?: number;
  readonly file?: string;
}

/** `rondo key`: API keys for `--api-keys`. */
export const keyCommand = (): Command =>
  new Command('key').description('make API keys for --api-keys').addCommand(
    new Command('new')
      .description('print a new key, once, and the line that lets it in')
      .requiredOption('--name <name>', 'whose key it is; logs and metrics show it')
      .option('--rpm <n>', 'requests that it may start in a minute', countOption('--rpm'))
      .option('--concurrent <n>', 'requests that it may have under way at once', countOption('--concurrent'))
      .option('--file <file>', 'append the line there and print only the key')
      .addHelpText(
        'after',
        `
A key is 256 random bits; the file holds its SHA-256, so whoever reads the file cannot use it, and a lost key cannot be
found again. A coordinator takes a changed file within two seconds; deleting a line shuts its key out.

Examples:
  rondo key new --name alice
  KEY=$(rondo key new --name ci --rpm 60 --concurrent 4 --file keys.txt)
  rondo coordinator … --api-keys keys.txt`,
      )
      .action(newKey),
  );

async function newKey({ name, rpm, concurrent, file }: NewKeyFlags): Promise<void> {
  const { key, line } = newApiKey(name, { requestsPerMinute: rpm, concurrent });
  if (file === undefined) {
    process.stdout.write(`key   ${key}\nline  ${line}\n`);
    return;
  }
  await append(file, line);
  process.stdout.write(`${key}\n`);
}

/** Only when the file is sound with the line in it. */
async function append(file: string, line: string): Promise<void> {
  const present = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return '';
    throw new RondoError('CONFIG_INVALID', `--file ${file}: ${error.message}`, { cause: error });
  });
  const text = `${present === '' || present.endsWith('\n') ? '' : '\n'}${line}\n`;
  parseApiKeys(file, present + text);
  await appendFile(file, text, { mode: 0o600 });
}

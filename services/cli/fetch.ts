import { readFile } from 'node:fs/promises';
import { fetchBundle } from '@rondo/bundle';
import { RondoError } from '@rondo/core';
import { Command } from 'commander';
import { refuse } from './options.ts';

interface FetchFlags {
  readonly from: string;
  readonly digest: string;
  readonly out: string;
  readonly authorizationFile?: string;
  readonly text?: true;
}

const digestOption = (value: string): string =>
  /^[0-9a-f]{64}$/.test(value) ? value : refuse('--digest', value, 'a sha256, 64 hexadecimal digits');

/** `rondo fetch`: brings a bundle to where workers open it. */
export const fetchCommand = (): Command =>
  new Command('fetch')
    .description('copy a bundle from a directory or an HTTP server, and hold every byte to its digest')
    .requiredOption('--from <place>', 'a bundle directory, or the http(s) URL of one')
    .requiredOption(
      '--digest <sha256>',
      'of its bundle.json, which holds the digests of all other files',
      digestOption,
    )
    .requiredOption('--out <directory>', 'where the bundle goes')
    .option(
      '--authorization-file <file>',
      'a file with what the server is told in the header Authorization, such as Bearer …',
    )
    .option('--text', 'only bundle.json and the tokenizer, which is all that a coordinator reads')
    .addHelpText(
      'after',
      `
What is there and whole is kept, so that a fetch that broke off goes on. The digest is what sha256sum bundle.json prints.
Nothing is sent but the requests. A server that asks who is there is told the one line of --authorization-file, with every request; use https.

Examples:
  rondo fetch --from https://models.example/looped --digest $(sha256sum <bundles/looped/bundle.json | cut -c1-64) \\
    --out /bundles/looped`,
    )
    .action(fetch);

async function fetch({ from, digest, out, authorizationFile, text }: FetchFlags): Promise<void> {
  const authorization = authorizationFile === undefined ? undefined : await headerIn(authorizationFile);
  const { directory } = await fetchBundle(from, digest, out, { authorization, part: text && 'text' });
  process.stdout.write(`${directory}\n`);
}

/** @throws RondoError CONFIG_INVALID, without what is in the file */
async function headerIn(file: string): Promise<string> {
  const wrong = (found: string, cause?: unknown): never => {
    const message = `--authorization-file ${file}: expected one line such as Bearer …; ${found}`;
    throw new RondoError('CONFIG_INVALID', message, { cause });
  };
  const text = await readFile(file, 'utf8').catch((error: Error) => wrong(error.message, error));
  return /^[\x21-\x7e][\x20-\x7e]*\n?$/.test(text) ? text.trimEnd() : wrong('it holds something else');
}

import { readFile } from 'node:fs/promises';
import { fetchBundle, presignedUrls } from '@rondo/bundle';
import { RondoError } from '@rondo/core';
import { Command, Option } from 'commander';
import { refuse } from './options.ts';

interface FetchFlags {
  readonly from: string;
  readonly digest: string;
  readonly out: string;
  readonly authorizationFile?: string;
  readonly presignedFile?: string;
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
    .addOption(
      new Option(
        '--presigned-file <file>',
        'a file with the URL that an object store signed for each file of --from, one a line',
      ).conflicts('authorizationFile'),
    )
    .option('--text', 'only bundle.json and the tokenizer, which is all that a coordinator reads')
    .addHelpText(
      'after',
      `
What is there and whole is kept, so that a fetch that broke off goes on. The digest is what sha256sum bundle.json prints.
Nothing is sent but the requests. A server that asks who is there is told the one line of --authorization-file, with every request; use https.
HTTPS_PROXY, HTTP_PROXY and NO_PROXY name the way to it, unless NODE_USE_ENV_PROXY=0.
An object store that knows nobody gives each file at the URL that was signed for it, until that ends: use --presigned-file.

Examples:
  rondo fetch --from https://models.example/looped --digest $(sha256sum <bundles/looped/bundle.json | cut -c1-64) \\
    --out /bundles/looped
  for file in bundle.json $(jq -r .files[].path bundles/looped/bundle.json); do
    aws s3 presign s3://models/looped/$file --expires-in 604800
  done >urls
  rondo fetch --from https://models.s3.eu-central-1.amazonaws.com/looped --presigned-file urls --digest … --out /bundles/looped`,
    )
    .action(fetch);

async function fetch(flags: FetchFlags): Promise<void> {
  const { from, digest, out, authorizationFile, presignedFile, text } = flags;
  const authorization = authorizationFile === undefined ? undefined : await headerIn(authorizationFile);
  const presigned = presignedFile === undefined ? undefined : await urlsIn(presignedFile, from);
  const { directory } = await fetchBundle(from, digest, out, {
    authorization,
    presigned,
    part: text && 'text',
  });
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

/** @throws RondoError CONFIG_INVALID, without a URL */
async function urlsIn(file: string, from: string): Promise<ReadonlyMap<string, string>> {
  const text = await readFile(file, 'utf8').catch((cause: Error) => {
    throw new RondoError('CONFIG_INVALID', `--presigned-file ${file}: ${cause.message}`, { cause });
  });
  return presignedUrls(text, from);
}

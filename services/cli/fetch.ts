import { fetchBundle } from '@rondo/bundle';
import { Command } from 'commander';
import { refuse } from './options.ts';

interface FetchFlags {
  readonly from: string;
  readonly digest: string;
  readonly out: string;
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
    .addHelpText(
      'after',
      `
What is there and whole is kept, so that a fetch that broke off goes on. The digest is what sha256sum bundle.json prints.
Nothing is sent but the requests: a server that wants to know who asks belongs behind a network that knows.

Examples:
  rondo fetch --from https://models.example/looped --digest $(sha256sum <bundles/looped/bundle.json | cut -c1-64) \\
    --out /bundles/looped`,
    )
    .action(fetch);

async function fetch({ from, digest, out }: FetchFlags): Promise<void> {
  const { directory } = await fetchBundle(from, digest, out);
  process.stdout.write(`${directory}\n`);
}

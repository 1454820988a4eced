import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { HubApiError, listFiles } from '@huggingface/hub';
import { RondoError } from '@rondo/core';
import { download, fetchSoon, type RemoteFile, type TransferOptions, unreachable } from './download.ts';

export interface HubOptions extends TransferOptions {
  readonly hubUrl: string;
  /** Access token for private and gated repositories. */
  readonly token?: string | undefined;
}

interface HubFile extends RemoteFile {
  readonly path: string;
}

/** Beside the weights; all but config.json may be absent. */
const SIDE_FILES = [
  'config.json',
  'generation_config.json',
  'tokenizer.json',
  'tokenizer_config.json',
  'chat_template.jinja',
  'README.md',
];

/** Downloads what a checkpoint consists of from the repository `repo` (owner/name) into `directory`. */
export async function pullFromHub(repo: string, directory: string, options: HubOptions): Promise<void> {
  const files = await listRepository(repo, options);
  const chosen = chooseFiles(repo, [...files.keys()]).map((path) => files.get(path)!);
  await mkdir(directory, { recursive: true });
  for (const file of chosen) await download(file, join(directory, file.path), options);
}

async function listRepository(repo: string, options: HubOptions): Promise<Map<string, HubFile>> {
  const { hubUrl, token } = options;
  const headers = token ? { authorization: `Bearer ${token}` } : {};
  const files = new Map<string, HubFile>();
  try {
    for await (const entry of listFiles({
      repo,
      hubUrl,
      fetch: fetchSoon,
      ...(token && { accessToken: token }),
    })) {
      if (entry.type !== 'file') continue;
      files.set(entry.path, {
        path: entry.path,
        url: `${hubUrl}/${repo}/resolve/main/${entry.path}`,
        bytes: entry.lfs?.size ?? entry.size,
        digest: entry.lfs
          ? { kind: 'sha256', hex: entry.lfs.oid }
          : { kind: 'git-blob', hex: entry.oid ?? '' },
        headers,
      });
    }
  } catch (error) {
    if (error instanceof HubApiError && [401, 403, 404].includes(error.statusCode)) {
      throw new RondoError(
        'SOURCE_UNREACHABLE',
        `${hubUrl}/${repo}: no such repository, or it is private or gated and needs an access token (HTTP ${error.statusCode})`,
      );
    }
    throw unreachable(`${hubUrl}/${repo}`, error);
  }
  return files;
}

/** Safetensors first, else a single GGUF. */
function chooseFiles(repo: string, paths: readonly string[]): string[] {
  const side = SIDE_FILES.filter((path) => paths.includes(path));
  if (paths.includes('model.safetensors')) return [...side, 'model.safetensors'];
  if (paths.includes('model.safetensors.index.json')) {
    const shards = paths.filter((path) => /^model-\d+-of-\d+\.safetensors$/.test(path));
    return [...side, 'model.safetensors.index.json', ...shards];
  }
  const ggufs = paths.filter((path) => /^[\w.-]+\.gguf$/.test(path));
  if (ggufs.length === 1) return ['README.md', ...ggufs].filter((path) => paths.includes(path));
  throw new RondoError(
    'CHECKPOINT_UNSUPPORTED',
    ggufs.length > 1
      ? `${repo}: holds ${ggufs.length} .gguf files; download one of them and give its path: ${ggufs.join(', ')}`
      : `${repo}: expected model.safetensors (or its shards) or one .gguf file, found ${paths.join(', ') || 'nothing'}; pickled weights are not read`,
  );
}

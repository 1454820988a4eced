import { readFile } from 'node:fs/promises';
import { settings, text } from '@rondo/chassis';
import { RondoError } from '@rondo/core';
import type { Command } from 'commander';
import { ApiClient } from './api-client.ts';

/** What a command lets say of the coordinator that it is a client of. */
export interface ApiFlags {
  readonly url: string;
  readonly keyFile?: string;
}

export const API_HELP = `
--key-file names a file with the API key in its first line; without it RONDO_API_KEY holds the key where one is asked for.
A server with a certificate of a private authority: NODE_EXTRA_CA_CERTS=ca.pem.`;

export const addApiOptions = (command: Command): Command =>
  command
    .option('--url <url>', 'a coordinator', 'http://127.0.0.1:8080')
    .option('--key-file <file>', 'a file with the API key (default: RONDO_API_KEY)');

/** @throws RondoError CONFIG_INVALID for a URL or a key file that cannot be used */
export async function apiClient({ url, keyFile }: ApiFlags): Promise<ApiClient> {
  if (!/^https?:$/.test(URL.parse(url)?.protocol ?? '')) {
    throw new RondoError('CONFIG_INVALID', `--url ${url}: expected a URL, such as http://127.0.0.1:8080`);
  }
  const key = keyFile === undefined ? settings({ key: text('RONDO_API_KEY', '') }).key : await keyOf(keyFile);
  return new ApiClient(url.replace(/\/+$/, ''), key === '' ? undefined : key);
}

async function keyOf(file: string): Promise<string> {
  const content = await readFile(file, 'utf8').catch((cause: Error) => {
    throw new RondoError('CONFIG_INVALID', `--key-file ${file}: ${cause.message}`, { cause });
  });
  const [line = ''] = content.split('\n');
  // A header takes no other characters, and the key must not be shown in what says so.
  if (/^[\x21-\x7e]+$/.test(line.trim())) return line.trim();
  throw new RondoError('CONFIG_INVALID', `--key-file ${file}: expected an API key in the first line`);
}

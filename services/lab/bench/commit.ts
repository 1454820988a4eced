import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

/** The commit of this checkout, `+changes` when more differs from it than documents, which suites write; `unknown` outside one. */
export async function thisCommit(): Promise<string> {
  const git = async (...args: string[]) =>
    (await promisify(execFile)('git', args, { cwd: import.meta.dirname })).stdout.trim();
  try {
    const changes = await git(
      'status',
      '--porcelain',
      '--untracked-files=no',
      '--',
      ':/',
      ':(top,exclude)docs',
    );
    return `${await git('rev-parse', '--short=12', 'HEAD')}${changes === '' ? '' : '+changes'}`;
  } catch {
    // Outside a checkout, or without git.
    return 'unknown';
  }
}

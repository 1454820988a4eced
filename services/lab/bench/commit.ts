import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

/** Of a run that began at one commit and ended at another: both, or `+changes` when only those came or went. */
export function commitsOf(before: string, after: string): string {
  if (before === after) return before;
  const [first, last] = [before, after].map((commit) => commit.replace('+changes', ''));
  return first === last ? `${first}+changes` : `${before}…${after}`;
}

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

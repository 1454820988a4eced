import { RondoError } from '@rondo/core';

const FORBIDDEN = 'this account may not write there; choose another';
const REASONS: Readonly<Record<string, string>> = {
  EACCES: FORBIDDEN,
  EPERM: FORBIDDEN,
  EROFS: 'the file system is read-only; choose another',
  ENOSPC: 'the disk is full; free some space or choose another',
  EDQUOT: 'your disk quota is used up; free some space or choose another',
  EFBIG: 'files may not grow that large here (ulimit -f, or the file system); choose another',
};

/** Why a file may not be written or grow where `option` has it, in words that say what to do; undefined for any other error. */
export function diskReason(cause: unknown, option: string): string | undefined {
  const reason = REASONS[(cause as { code?: string }).code ?? ''];
  return reason && `${reason} ${option}`;
}

/** The same as an error that names the path: no other source and no other try can help. */
export function diskRefusal(path: string, cause: unknown, option: string): RondoError | undefined {
  const reason = diskReason(cause, option);
  return reason === undefined
    ? undefined
    : new RondoError('CONFIG_INVALID', `${path}: cannot be written: ${reason}`, { cause });
}

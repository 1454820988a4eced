import { readFile, rename, rm, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { setTimeout as delay } from 'node:timers/promises';

/** How often who waits looks whether the lock is free. */
const LOOK_MS = 200;

/**
 * Runs `work` while no other process, and no other call of this one, does so under the same `path`. A lock whose process on
 * this machine is gone is taken over.
 * @throws AbortError when `signal` fires while it waits.
 */
export async function locked<Result>(
  path: string,
  signal: AbortSignal | undefined,
  work: () => Promise<Result>,
): Promise<Result> {
  const holder = `${process.pid} ${hostname()}`;
  while (!(await take(path, holder))) {
    signal?.throwIfAborted();
    await freeIfAbandoned(path);
    await delay(LOOK_MS, undefined, { ...(signal && { signal }) });
  }
  try {
    return await work();
  } finally {
    await rm(path, { force: true });
  }
}

const take = (path: string, holder: string): Promise<boolean> =>
  writeFile(path, holder, { flag: 'wx' }).then(
    () => true,
    (error: NodeJS.ErrnoException) => {
      if (error.code === 'EEXIST') return false;
      throw error;
    },
  );

async function freeIfAbandoned(path: string): Promise<void> {
  const holder = await readFile(path, 'utf8').catch(() => '');
  if (!isGone(holder)) return;
  // Whoever else sees that it is gone may have freed and taken the lock meanwhile: theirs is put back.
  const aside = `${path}.${process.pid}`;
  const moved = await rename(path, aside).then(
    () => readFile(aside, 'utf8'),
    () => holder,
  );
  if (moved === holder) await rm(aside, { force: true });
  else await rename(aside, path);
}

/** Whether the process that wrote `holder` ran on this machine and runs no more. */
function isGone(holder: string): boolean {
  const [, pid, host] = /^(\d+) (.+)$/.exec(holder) ?? [];
  if (pid === undefined || host !== hostname()) return false;
  try {
    process.kill(Number(pid), 0);
    return false;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ESRCH';
  }
}

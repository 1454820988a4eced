import { type FileHandle, open, readFile, rename, rm, stat } from 'node:fs/promises';
import { hostname } from 'node:os';
import { setTimeout as delay } from 'node:timers/promises';
import { type Clock, LIMITS, RondoError, systemClock } from '@rondo/core';

/** How often who waits looks whether the lock is free. */
const LOOK_MS = 200;
/** How often its holder says that it is alive: often enough that some of them may come late. */
const TOUCH_MS = LIMITS.lockSilenceMs / 10;

export interface LockOptions {
  readonly signal?: AbortSignal | undefined;
  /** Told once, when the lock is another's: who that is, and the file that says so. */
  readonly onWait?: ((holder: string, path: string) => void) | undefined;
  readonly clock?: Clock | undefined;
}

/** A lock as it lies there: what its holder wrote, and when that touched it last. */
interface Lock {
  readonly holder: string;
  readonly touchedMs: number;
}

/**
 * Runs `work` while no other process, and no other call of this one, does so under the same `path`. A lock whose process on
 * this machine is gone is taken over, and so is one that nobody touched for `LIMITS.lockSilenceMs`: of a process on another machine or in
 * another container, whose pid may be this one's own, nothing else can be known.
 * `work` is told by its signal when `signal` fires, or when it was held up for so long that another took the lock over.
 * @throws AbortError when `signal` fires while it waits.
 */
export async function locked<Result>(
  path: string,
  { signal, onWait, clock = systemClock }: LockOptions,
  work: (signal: AbortSignal) => Promise<Result>,
): Promise<Result> {
  const own = `${process.pid} ${hostname()}`;
  let seen: (Lock & { readonly sinceMs: number }) | undefined;
  let told = false;
  let handle = await take(path, own);
  while (!handle) {
    signal?.throwIfAborted();
    const nowMs = clock.now();
    const found = await look(path);
    if (found) {
      if (!seen || !isSame(found, seen)) seen = { ...found, sinceMs: nowMs };
      if (isGone(found.holder) || nowMs - seen.sinceMs >= LIMITS.lockSilenceMs) await free(path, found);
      else if (!told) {
        told = true;
        onWait?.(describe(found.holder), path);
      }
    }
    await delay(LOOK_MS, undefined, { ...(signal && { signal }) });
    handle = await take(path, own);
  }
  const lost = new AbortController();
  const held = handle;
  const touching = setInterval(async () => {
    if (await touch(held, own)) return;
    const why = `${path}: this process was held up for so long that another took over; run it again`;
    lost.abort(new RondoError('CANCELLED', why));
  }, TOUCH_MS);
  try {
    return await work(AbortSignal.any([lost.signal, ...(signal ? [signal] : [])]));
  } finally {
    clearInterval(touching);
    await handle.close();
    // Whoever was held up for too long has lost it to another, whose it stays.
    if ((await look(path))?.holder === own) await rm(path, { force: true });
  }
}

/** Undefined when another has it. */
async function take(path: string, own: string): Promise<FileHandle | undefined> {
  const handle = await open(path, 'wx').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'EEXIST') return undefined;
    throw error;
  });
  try {
    await handle?.writeFile(own);
    return handle;
  } catch (error) {
    // On a full disk it would stay behind, empty.
    await handle?.close();
    await rm(path, { force: true });
    throw error;
  }
}

/** Says that the holder is alive. False when the file is another's by now: whoever takes a lock over removes it first. */
async function touch(handle: FileHandle, own: string): Promise<boolean> {
  const now = new Date();
  // Not every file system sets times; the same bytes need no room, and move them too.
  await handle.utimes(now, now).catch(() => handle.write(own, 0).catch(() => undefined));
  const { nlink } = await handle.stat().catch(() => ({ nlink: 1 }));
  return nlink > 0;
}

async function look(path: string): Promise<Lock | undefined> {
  try {
    const [holder, { mtimeMs }] = await Promise.all([readFile(path, 'utf8'), stat(path)]);
    return { holder, touchedMs: mtimeMs };
  } catch {
    return undefined;
  }
}

/** Not touched in between. Times are compared with each other alone: a shared disk's may be another machine's. */
const isSame = (one: Lock, other: Lock): boolean =>
  one.holder === other.holder && one.touchedMs === other.touchedMs;

async function free(path: string, abandoned: Lock): Promise<void> {
  // Whoever else sees that it is abandoned may have freed and taken the lock meanwhile: theirs is put back.
  const aside = `${path}.${process.pid}`;
  const moved = await rename(path, aside).then(
    () => look(aside),
    () => undefined,
  );
  if (!moved) return;
  if (isSame(moved, abandoned)) await rm(aside, { force: true });
  else await rename(aside, path);
}

const HOLDER = /^(\d+) (.+)$/;

function describe(holder: string): string {
  const [, pid, host] = HOLDER.exec(holder) ?? [];
  return pid === undefined ? 'a process that it does not name' : `process ${pid} on ${host}`;
}

/** Whether the process that wrote `holder` ran on this machine and runs no more. */
function isGone(holder: string): boolean {
  const [, pid, host] = HOLDER.exec(holder) ?? [];
  if (pid === undefined || host !== hostname()) return false;
  try {
    process.kill(Number(pid), 0);
    return false;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ESRCH';
  }
}

import { RondoError } from '@rondo/core';
import type { Command } from 'commander';

/** Each command with the file that makes it, in the order of the help. */
const COMMANDS: Readonly<Record<string, () => Promise<Command>>> = {
  pull: async () => (await import('./pull.ts')).pullCommand(),
  fetch: async () => (await import('./fetch.ts')).fetchCommand(),
  convert: async () => (await import('./convert.ts')).convertCommand(),
  export: async () => (await import('./export.ts')).exportCommand(),
  inspect: async () => (await import('./inspect.ts')).inspectCommand(),
  run: async () => (await import('./run.ts')).runCommand(),
  worker: async () => (await import('./worker.ts')).workerCommand(),
  coordinator: async () => (await import('./coordinator.ts')).coordinatorCommand(),
  key: async () => (await import('./key.ts')).keyCommand(),
  batch: async () => (await import('./batch.ts')).batchCommand(),
  check: async () => (await import('./check.ts')).checkCommand(),
  trace: async () => (await import('./trace.ts')).traceCommand(),
  top: async () => (await import('./top.ts')).topCommand(),
  scan: async () => (await import('./scan.ts')).scanCommand(),
  eval: async () => (await import('./eval.ts')).evalCommand(),
  bench: async () => (await import('./bench.ts')).benchCommand(),
};

/**
 * The command that was asked for, or, for help and what is mistyped, all that this installation can load: an image holds
 * the packages of its own commands only.
 * @throws RondoError CONFIG_INVALID for a command whose packages are not installed.
 */
export async function loadCommands(asked: string | undefined): Promise<Command[]> {
  const only = asked !== undefined && Object.hasOwn(COMMANDS, asked) ? COMMANDS[asked] : undefined;
  const found = await Promise.allSettled((only ? [only] : Object.values(COMMANDS)).map((load) => load()));
  return found.flatMap((each) => {
    if (each.status === 'fulfilled') return [each.value];
    const cause = each.reason as NodeJS.ErrnoException;
    if (cause.code !== 'ERR_MODULE_NOT_FOUND') throw cause;
    if (!only) return [];
    throw new RondoError('CONFIG_INVALID', `rondo ${asked} is not part of this image: ${cause.message}`, {
      cause,
    });
  });
}

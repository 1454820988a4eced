import { endAtOnce, settings, text, unsetWhenEmpty } from '@rondo/chassis';
import { RondoError } from '@rondo/core';

/** What the user reads of an error: its message; the stack is for whoever set RONDO_LOG, here `levels`, to debug or trace. `told` stands for the message. */
export function describeFailure(error: unknown, levels: string, told?: string): string {
  const [level] = levels.split(',', 1);
  const { message, stack } = error instanceof Error ? error : new Error(String(error));
  const lines = [`rondo: ${told ?? message}\n`];
  if (level === 'debug' || level === 'trace') lines.push(`${stack}\n${causes(error)}`);
  else if (!(error instanceof RondoError))
    lines.push('rondo: this is a defect; RONDO_LOG=debug shows where\n');
  return lines.join('');
}

function causes(error: unknown): string {
  const cause = error instanceof Error ? error.cause : undefined;
  if (cause === undefined) return '';
  return `caused by: ${cause instanceof Error ? cause.stack : String(cause)}\n${causes(cause)}`;
}

/** Says on standard error what went wrong, as `told`, and how much of it RONDO_LOG asks for. */
export function tellFailure(error: unknown, told?: string): void {
  const { levels } = settings({ levels: unsetWhenEmpty(text('RONDO_LOG', 'info')) });
  process.stderr.write(describeFailure(error, levels, told));
}

/** Ends the process with 1 and says why on standard error; with 137 when one of its threads hangs (WORKER_STUCK). */
export function exitWith(error: unknown): never {
  tellFailure(error);
  if (error instanceof RondoError && error.code === 'WORKER_STUCK') endAtOnce();
  process.exit(1);
}

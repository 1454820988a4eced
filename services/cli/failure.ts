import { endAtOnce, settings, text, unsetWhenEmpty } from '@rondo/chassis';
import { RondoError } from '@rondo/core';

/** What the user reads of an error: its message; the stack is for whoever set RONDO_LOG, here `levels`, to debug or trace. */
export function describeFailure(error: unknown, levels: string): string {
  const [level] = levels.split(',', 1);
  const { message, stack } = error instanceof Error ? error : new Error(String(error));
  const lines = [`rondo: ${message}\n`];
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

/** Ends the process with 1 and says why on standard error; with 137 when one of its threads hangs (WORKER_STUCK). */
export function exitWith(error: unknown): never {
  const { levels } = settings({ levels: unsetWhenEmpty(text('RONDO_LOG', 'info')) });
  process.stderr.write(describeFailure(error, levels));
  if (error instanceof RondoError && error.code === 'WORKER_STUCK') endAtOnce();
  process.exit(1);
}

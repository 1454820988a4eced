import { type DestinationStream, destination, type Logger, pino, stdTimeFunctions } from 'pino';
import { choice, settings } from './config.ts';

export type { Logger };

export const LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const;

export type LogLevel = (typeof LEVELS)[number];

export const isLogLevel = (text: string): text is LogLevel => LEVELS.some((level) => level === text);

export interface LogOptions {
  /** Defaults to RONDO_LOG, else `info`. */
  readonly level?: LogLevel;
  /** Defaults to standard error: standard output belongs to the command. */
  readonly to?: DestinationStream;
}

/**
 * A logger of JSON lines named `name`. Nothing is redacted, so nothing secret may be handed in: prompts and generated
 * text are never logged. CONFIG_INVALID when RONDO_LOG is no level.
 */
export function createLog(name: string, options: LogOptions = {}): Logger {
  const level = options.level ?? settings({ level: choice('RONDO_LOG', LEVELS, 'info') }).level;
  return pino(
    {
      name,
      level,
      timestamp: stdTimeFunctions.isoTime,
      base: { pid: process.pid },
      formatters: { level: (label) => ({ level: label }) },
    },
    // Synchronous: the last line before an exit is the one that matters.
    options.to ?? destination({ dest: 2, sync: true }),
  );
}

import { type DestinationStream, destination, type Logger, pino, stdTimeFunctions } from 'pino';
import { settings, unsetWhenEmpty } from './settings.ts';

export type { Logger };

export const LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const;

export type LogLevel = (typeof LEVELS)[number];

export const isLogLevel = (text: string): text is LogLevel => LEVELS.some((level) => level === text);

/** Modules that may have a level of their own. */
export const LOG_MODULES = ['requests', 'workers'] as const;

export type LogModule = (typeof LOG_MODULES)[number];

const isLogModule = (text: string): text is LogModule => LOG_MODULES.some((module) => module === text);

/** What RONDO_LOG says: the level of all, and of modules that have one of their own. */
interface Levels {
  readonly level: LogLevel;
  readonly modules: ReadonlyMap<LogModule, LogLevel>;
}

/** `level[,module=level…]`, such as `info,requests=silent`. */
const levelsSetting = unsetWhenEmpty<Levels>({
  variable: 'RONDO_LOG',
  fallback: { level: 'info', modules: new Map() },
  expected: `one of ${LEVELS.join(', ')}, and behind it module=level for modules that differ (${LOG_MODULES.join(', ')}), such as info,requests=silent`,
  parse(written) {
    const [level = '', ...others] = written.split(',');
    const modules = others.map((part) => part.split('='));
    const sound = modules.every(
      ([name = '', own = '', more]) => isLogModule(name) && isLogLevel(own) && more === undefined,
    );
    return isLogLevel(level) && sound
      ? { level, modules: new Map(modules as [LogModule, LogLevel][]) }
      : undefined;
  },
});

const modulesOf = new WeakMap<Logger, Levels['modules']>();

/** The logger of one module, with its own level where RONDO_LOG gives it one; else it is `log` and follows that. */
export function moduleLog(log: Logger, module: LogModule): Logger {
  const level = modulesOf.get(log)?.get(module);
  return level === undefined ? log : log.child({ module }, { level });
}

export interface LogOptions {
  /** Defaults to RONDO_LOG, else `info`. */
  readonly level?: LogLevel;
  /** Defaults to standard error: standard output belongs to the command. */
  readonly to?: DestinationStream;
}

/**
 * A logger of JSON lines named `name`. Nothing is redacted, so nothing secret may be handed in: prompts and generated
 * text are never logged. CONFIG_INVALID when RONDO_LOG is no level, or names a
 * module that there is none of.
 */
export function createLog(name: string, options: LogOptions = {}): Logger {
  const { level, modules } = settings({ levels: levelsSetting }).levels;
  const log = pino(
    {
      name,
      level: options.level ?? level,
      timestamp: stdTimeFunctions.isoTime,
      base: { pid: process.pid },
      formatters: { level: (label) => ({ level: label }) },
    },
    // Synchronous: the last line before an exit is the one that matters.
    options.to ?? destination({ dest: 2, sync: true }),
  );
  modulesOf.set(log, modules);
  return log;
}

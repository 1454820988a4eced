import { LIMITS } from '@rondo/core';
import { Option } from 'commander';
import { secondsOption } from './options.ts';

/** How long `what` when the process is told to stop. */
export const drainOption = (what: string, maxMs: number): Option =>
  new Option('--drain-seconds <n>', `how long ${what} when told to stop, at most ${maxMs / 1000}`)
    .argParser(secondsOption('--drain-seconds', maxMs / 1000))
    .default(LIMITS.drainMs / 1000);

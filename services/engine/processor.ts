import { readFileSync } from 'node:fs';

/** What is known of a processor. */
export interface Processor {
  readonly platform: NodeJS.Platform;
  readonly arch: NodeJS.Architecture;
  /** Instruction sets and other features under Linux's names; none on other systems. */
  readonly flags: ReadonlySet<string>;
}

/** The processor that this process runs on. */
export const thisProcessor = (): Processor => ({
  platform: process.platform,
  arch: process.arch,
  flags: new Set(/^(?:flags|Features)\s*:\s*(.*)$/m.exec(cpuinfo())?.[1]?.split(' ')),
});

function cpuinfo(): string {
  try {
    return readFileSync('/proc/cpuinfo', 'utf8');
  } catch {
    // Only Linux has this file.
    return '';
  }
}

import { readFile } from 'node:fs/promises';

/** Linux counts processor time of other processes in hundredths of a second. */
const TICKS_PER_S = 100;

/**
 * Processor time that process `pid` has used so far, user and system, all threads, in milliseconds.
 * @throws whatever reading /proc/<pid>/stat throws: no such process, or no Linux.
 */
export async function processCpuMs(pid: number): Promise<number> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8');
  // The command's name, in parentheses, may itself hold spaces; utime and stime are fields 14 and 15.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return ((Number(fields[11]) + Number(fields[12])) * 1000) / TICKS_PER_S;
}

/** Processor time that this process has used so far, in milliseconds. */
export function ownCpuMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

/**
 * Processor time that everything on this machine has used since it started, in milliseconds.
 * @throws whatever reading /proc/stat throws: no Linux.
 */
export async function machineCpuMs(): Promise<number> {
  const stat = await readFile('/proc/stat', 'utf8');
  // cpu user nice system idle iowait irq softirq steal …
  const [user, nice, system, , , irq, softirq] = stat.split('\n')[0]!.split(/\s+/).slice(1).map(Number);
  return ((user! + nice! + system! + irq! + softirq!) * 1000) / TICKS_PER_S;
}

/**
 * Memory of process `pid` that is in RAM, in MiB.
 * @throws whatever reading /proc/<pid>/status throws: no such process, or no Linux.
 */
export async function residentMiB(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  return Number(/^VmRSS:\s*(\d+) kB/m.exec(status)?.[1]) / 1024;
}

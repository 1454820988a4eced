import { createRequire } from 'node:module';
import { arch, cpus, release, totalmem, type } from 'node:os';
import { thisProcessor } from '@rondo/engine';

/** What a figure depends on besides the program. */
export interface Machine {
  readonly cpu: string;
  /** Instruction sets that matrix kernels choose by, of those the processor has. */
  readonly flags: readonly string[];
  readonly cores: number;
  readonly memoryGiB: number;
  readonly os: string;
  readonly node: string;
  readonly onnxruntime: string;
}

const WORTH_KNOWING = [
  'avx',
  'avx2',
  'avx_vnni',
  'avx512f',
  'avx512_vnni',
  'avx512_bf16',
  'amx_int8',
  'asimddp',
  'i8mm',
];

/** Describes the machine that this process runs on. */
export function thisMachine(): Machine {
  const { flags } = thisProcessor();
  const processors = cpus();
  const runtime = createRequire(import.meta.url)('onnxruntime-node/package.json') as { version: string };
  return {
    cpu: processors[0]?.model.trim() ?? 'unknown',
    flags: WORTH_KNOWING.filter((flag) => flags.has(flag)),
    cores: processors.length,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    os: `${type()} ${release()} ${arch()}`,
    node: process.version,
    onnxruntime: runtime.version,
  };
}

/** The machine in one line. */
export const describeMachine = (machine: Machine): string =>
  [
    `${machine.cpu}, ${machine.cores} cores${machine.flags.length > 0 ? ` (${machine.flags.join(', ')})` : ''}`,
    `${machine.memoryGiB} GiB`,
    machine.os,
    `Node ${machine.node}`,
    `ONNX Runtime ${machine.onnxruntime}`,
  ].join(' · ');

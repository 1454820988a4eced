import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { SuiteContext } from '../suite.ts';
import type { Contestant, Peer, PeerSetting } from './contestant.ts';
import { runTool } from './install.ts';

/** The versions that integration-tests/oracle uses. */
const PACKAGES = ['torch==2.15.0', 'transformers==5.23.0', 'gguf', 'accelerate'];
const PROGRAM = join(import.meta.dirname, 'pytorch.py');

/** PyTorch transformers in f32, one static batch. */
export const pytorch: Peer = { engine: 'PyTorch', prepare };

async function prepare({ context, checkpoint }: PeerSetting): Promise<readonly Contestant[]> {
  const python = await installPython(context);
  const gguf = (await readdir(checkpoint)).find((file) => file.endsWith('.gguf'))!;
  return [
    {
      engine: 'PyTorch',
      variant: 'f32',
      command: [python, PROGRAM, join(checkpoint, gguf), String(context.threads)],
    },
  ];
}

/** The Python of `<cache>/peers/venv`, with what the program imports. */
async function installPython(context: SuiteContext): Promise<string> {
  const directory = join(context.cache, 'peers', 'venv');
  const python = join(directory, 'bin', 'python');
  const complete = await runTool(context, python, ['-c', 'import torch, transformers, gguf']).then(
    () => true,
    () => false,
  );
  if (complete) return python;
  context.signal.throwIfAborted();
  context.progress(`installing ${PACKAGES.join(' ')} (about 3 GB)`);
  await runTool(context, 'python3', ['-m', 'venv', directory]);
  await runTool(context, python, ['-m', 'pip', 'install', '--quiet', ...PACKAGES]);
  return python;
}

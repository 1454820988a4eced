import { copyFile } from 'node:fs/promises';
import { join } from 'node:path';
import { madeBy, makerDigest } from '../made-by.ts';
import type { Contestant, Peer, PeerSetting } from './contestant.ts';
import { installPackages } from './install.ts';
import { EXPORT_SUFFIX, exportForTransformersJs } from './onnx-export.ts';

const PACKAGE = '@huggingface/transformers@4.3.1';
const PROGRAM = 'transformers-js.mjs';

/** transformers.js on our own ONNX export of the checkpoint, whose graph is that of the exports made for it. */
export const transformersJs: Peer = { engine: 'transformers.js', prepare };

async function prepare({ context, checkpoint }: PeerSetting): Promise<readonly Contestant[]> {
  const directory = await installPackages(context, 'transformers-js', [PACKAGE]);
  await copyFile(join(import.meta.dirname, PROGRAM), join(directory, PROGRAM));
  const model = join(context.cache, 'bench', 'transformers-js');
  await madeBy(model, await makerDigest(join(import.meta.dirname, 'onnx-export.ts')), async () => {
    context.progress('exporting the checkpoint for transformers.js');
    await exportForTransformersJs(checkpoint, model);
  });
  return Object.keys(EXPORT_SUFFIX).map((dtype) => ({
    engine: 'transformers.js',
    variant: dtype,
    command: [process.execPath, join(directory, PROGRAM), model, String(context.threads), dtype],
  }));
}

import { copyFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { RondoError } from '@rondo/core';
import { madeBy, makerDigest } from '../made-by.ts';
import type { Contestant, Peer, PeerSetting } from './contestant.ts';
import { copyGguf, type GgmlPacking } from './gguf-copy.ts';
import { installPackages } from './install.ts';

const VERSION = '3.22.1';
const PROGRAM = 'llama-cpp.mjs';

/** The package that carries the CPU build, by Node's names of the platform. */
const PREBUILT: Readonly<Record<string, string>> = {
  'linux-x64': 'linux-x64',
  'linux-arm64': 'linux-arm64',
  'darwin-x64': 'mac-x64',
  'darwin-arm64': 'mac-arm64-metal',
};

/** Rows that llama.cpp computes at once unless told otherwise. */
const BATCH = 512;
/** What may be chosen when a context is made. */
const WAYS = [
  { flash: true, batch: BATCH },
  { flash: false, batch: BATCH },
  { flash: true, batch: 4 * BATCH },
];

/** llama.cpp through node-llama-cpp, on each packing of the same weights, with and without flash attention. */
export const llamaCpp: Peer = { engine: 'llama.cpp', prepare };

async function prepare({ context, checkpoint }: PeerSetting): Promise<readonly Contestant[]> {
  const platform = `${process.platform}-${process.arch}`;
  const prebuilt = PREBUILT[platform];
  if (prebuilt === undefined) {
    throw new RondoError('CONFIG_INVALID', `node-llama-cpp has no prebuilt library for ${platform}`);
  }
  const directory = await installPackages(
    context,
    'llama-cpp',
    [`node-llama-cpp@${VERSION}`, `@node-llama-cpp/${prebuilt}@${VERSION}`],
    ['--omit=optional'],
  );
  await copyFile(join(import.meta.dirname, PROGRAM), join(directory, PROGRAM));
  const original = await ggufFile(checkpoint);
  const packings: GgmlPacking[] = context.quick ? ['q4_0', 'q8_0'] : ['q4_0', 'q8_0', 'f32'];
  const models = context.quick ? [] : [{ packing: 'q4_1', path: original }];
  const maker = await makerDigest(join(import.meta.dirname, 'gguf-copy.ts'));
  for (const packing of packings) {
    const path = join(context.cache, 'bench', `smollm2-135m-instruct-${packing}.gguf`);
    await madeBy(path, maker, async () => {
      context.progress(`packing the checkpoint as ${packing}`);
      await copyGguf(original, path, packing);
    });
    models.push({ packing, path });
  }
  return models.flatMap(({ packing, path }) =>
    WAYS.filter(({ batch }) => batch === BATCH || !context.quick).map((options) => ({
      engine: 'llama.cpp',
      variant: [
        packing,
        options.flash ? 'flash' : '',
        options.batch === BATCH ? '' : `batch ${options.batch}`,
      ]
        .filter((part) => part !== '')
        .join(', '),
      command: [process.execPath, join(directory, PROGRAM), path, String(context.threads)],
      options,
    })),
  );
}

async function ggufFile(checkpoint: string): Promise<string> {
  const name = (await readdir(checkpoint)).find((file) => file.endsWith('.gguf'));
  if (name === undefined) throw new RondoError('CHECKPOINT_INVALID', `${checkpoint}: holds no .gguf file`);
  return join(checkpoint, name);
}

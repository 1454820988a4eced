import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
  type Bundle,
  bundlePath,
  EXPORTED_MANIFEST_FILE,
  exportedManifest,
  type Manifest,
} from '@rondo/bundle';
import { RondoError } from '@rondo/core';
import { targetShape } from './adapters-weights.ts';
import { type Architecture, findArchitecture } from './architecture.ts';
import { BundleCheckpoint } from './bundle-checkpoint.ts';
import { makeDirectory } from './make-directory.ts';
import { layerVectorNames, type TensorName, tensorShapes } from './model-spec.ts';
import {
  ADAPTER_CONFIG_FILE,
  ADAPTER_FILE,
  adapterConfig,
  depthDirectory,
  loraNames,
  moduleName,
  VECTORS_FILE,
} from './peft-adapter.ts';
import { type WrittenTensor, writeModelTensors, writeSafetensors } from './safetensors-writer.ts';
import { storedName } from './source.ts';
import { diskError } from './weights-file.ts';
import { writeWhole } from './whole-directory.ts';

export interface ExportOptions {
  readonly bundle: Bundle;
  /** Directory to create; an older export there is replaced, anything else is refused. */
  readonly out: string;
  readonly onProgress?: ((done: number, total: number) => void) | undefined;
  /** Larger files are split into shards. */
  readonly shardBytes?: number | undefined;
}

/** What an export lost: nothing of an f32 bundle. */
export interface Exported {
  readonly lossy: boolean;
  readonly tensors: number;
}

/**
 * Writes a bundle as a directory that `transformers` and `peft` load: config.json, tokenizer files and model.safetensors
 * with the layers of prelude, block and coda in order, each once; the factors of depth d as an adapter of
 * `peft` under adapters/depth_d, its norms and biases beside them; and rondo.json with what only Rondo knows, from
 * which `convert` makes the same bundle again. Rounded weights are multiplied out.
 * @throws RondoError BUNDLE_INVALID for a bundle that does not say where its weights lie or that no config.json
 * describes, CONFIG_INVALID for a foreign directory at `out` or a full disk.
 */
export function exportBundle(options: ExportOptions): Promise<Exported> {
  const { bundle, out } = options;
  const kind = { marker: EXPORTED_MANIFEST_FILE, name: 'an exported bundle' };
  return writeWhole(out, kind, async (directory) => {
    const source = await BundleCheckpoint.open(bundle);
    try {
      return await new DirectoryExport(options, source, directory).write();
    } finally {
      await source.close();
    }
  });
}

class DirectoryExport {
  readonly #options: ExportOptions;
  readonly #source: BundleCheckpoint;
  readonly #directory: string;
  readonly #manifest: Manifest;
  readonly #architecture: Architecture;
  readonly #block: readonly number[];
  #total = 0;
  #done = 0;

  constructor(options: ExportOptions, source: BundleCheckpoint, directory: string) {
    this.#options = options;
    this.#source = source;
    this.#directory = directory;
    this.#manifest = options.bundle.manifest;
    this.#architecture = findArchitecture(source.model.architecture)!;
    const { prelude, block } = this.#manifest.layers;
    this.#block = Array.from({ length: block }, (_, slot) => prelude + slot);
  }

  async write(): Promise<Exported> {
    const { config, model } = this.#source.file;
    if (!config) {
      throw new RondoError(
        'BUNDLE_INVALID',
        `${this.#options.bundle.directory}: no config.json would be read as this model, as of a GGUF file whose rotation none describes; where there are safetensors of it, convert those`,
      );
    }
    const tensors = [...tensorShapes(model)].map(([name, shape]) => this.#tensor(name, shape));
    const depths = this.#depthFiles();
    this.#total = tensors.length + depths.reduce((sum, file) => sum + file.tensors.length, 0);
    await this.#json('config.json', config);
    await this.#json('generation_config.json', {
      ...(model.bos !== undefined && { bos_token_id: model.bos }),
      eos_token_id: model.eos,
    });
    await this.#json(EXPORTED_MANIFEST_FILE, exportedManifest(this.#manifest));
    await this.#text('README.md', readme(this.#manifest));
    for (const name of Object.values(this.#manifest.tokenizer ?? {}).filter((file) => file !== undefined)) {
      await this.#text(name, await readFile(bundlePath(this.#options.bundle, name)));
    }
    await writeModelTensors(this.#directory, tensors, () => this.#step(), this.#options.shardBytes);
    for (const { path, tensors: own, config: adapter } of depths) {
      const directory = join(path, '..');
      await makeDirectory(join(this.#directory, directory));
      await writeSafetensors(join(this.#directory, path), own, () => this.#step());
      if (adapter) await this.#json(join(directory, ADAPTER_CONFIG_FILE), adapter);
    }
    const lossy = this.#manifest.precision !== 'f32' || this.#manifest.adapters?.method === 'integer';
    return { lossy, tensors: this.#total };
  }

  #step(): void {
    this.#options.onProgress?.(++this.#done, this.#total);
  }

  #tensor(name: TensorName, shape: readonly number[], depth = 0): WrittenTensor {
    const { safetensors, normOffset } = this.#architecture;
    return {
      name: storedName(safetensors, name)!,
      shape: name === 'gate.weight' ? [1, ...shape] : shape,
      read: async () => {
        const data = await this.#source.read(name, depth);
        return normOffset && /norm$/i.test(name) ? data.map((weight) => weight - normOffset) : data;
      },
    };
  }

  #depthFiles(): {
    readonly path: string;
    readonly tensors: readonly WrittenTensor[];
    readonly config?: object;
  }[] {
    const { maxDepth, adapters, tied } = this.#manifest;
    return Array.from({ length: maxDepth }, (_, depth) => depth).flatMap((depth) => {
      const directory = depthDirectory(depth);
      const files = [];
      if (adapters) files.push({ path: join(directory, ADAPTER_FILE), ...this.#adapter(depth) });
      if (tied?.norms === 'per-depth') {
        files.push({ path: join(directory, VECTORS_FILE), tensors: this.#vectors(depth) });
      }
      return files;
    });
  }

  #vectors(depth: number): WrittenTensor[] {
    const names = new Set(this.#block.flatMap((layer) => layerVectorNames(this.#source.model, layer)));
    return [...tensorShapes(this.#source.model)]
      .filter(([name]) => names.has(name))
      .map(([name, shape]) => this.#tensor(name, shape, depth));
  }

  #adapter(depth: number): { tensors: WrittenTensor[]; config: object } {
    const ranks = new Map<string, number>();
    const tensors = this.#block.flatMap((layer) =>
      this.#manifest.adapters!.targets.flatMap((target): WrittenTensor[] => {
        const module = moduleName(this.#architecture.safetensors, layer, target);
        const names = loraNames(module);
        const [out, columns] = targetShape(this.#source.model, target);
        const rank = this.#source.rankOf(layer, depth, target);
        ranks.set(module, rank);
        const read = (which: 'a' | 'b') => async () =>
          (await this.#source.factors(layer, depth, target))[which];
        return [
          { name: names.a, shape: [rank, columns], read: read('a') },
          { name: names.b, shape: [out, rank], read: read('b') },
        ];
      }),
    );
    return { tensors, config: adapterConfig(ranks, this.#block) };
  }

  #json(name: string, value: object): Promise<void> {
    return this.#text(name, `${JSON.stringify(value, null, 2)}\n`);
  }

  async #text(name: string, content: string | Uint8Array): Promise<void> {
    const path = join(this.#directory, name);
    await writeFile(path, content).catch((cause: unknown) => {
      throw diskError(path, content.length, cause);
    });
  }
}

/** A model card whose front matter carries the licence, and says how the parts belong together. */
function readme({ name, source, layers, maxDepth, loop, adapters, tied }: Manifest): string {
  const first = layers.prelude;
  const end = first + layers.block;
  const licence = source.licence === 'unknown' ? '' : `license: ${source.licence}\n`;
  const own = [
    adapters && `the low-rank factors in \`adapters/depth_d\` (\`peft\` loads each on top of this model)`,
    tied?.norms === 'per-depth' && 'the norms and biases in `adapters/depth_d/vectors.safetensors`',
  ].filter((text) => typeof text === 'string');
  return `---
${licence}---
# ${name}

Made of ${source.checkpoint} by Rondo. Layers ${first} to ${end - 1} of \`model.safetensors\` are the block, which is applied ${maxDepth} times
in a row; those before and behind it run once.${loop.damping === 1 ? '' : ` Of what a pass changes, ${loop.damping} is added.`}${own.length > 0 ? `\nPass d (from 0) takes ${own.join(' and ')}.` : ''}
\`rondo.json\` says so for machines; \`rondo convert\` makes a bundle of this directory again.
`;
}

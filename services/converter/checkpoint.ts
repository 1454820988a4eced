import { readdir, stat } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';
import { MANIFEST_FILE } from '@rondo/bundle';
import { RondoError } from '@rondo/core';
import type { ExportedLoop } from './exported-loop.ts';
import { openGguf } from './gguf-checkpoint.ts';
import { openHuggingFaceDirectory } from './huggingface-directory.ts';
import { type ModelSpec, type TensorName, tensorShapes } from './model-spec.ts';
import { type Source, storedName } from './source.ts';
import { requireFinite, requireShape, type StoredTensor } from './tensor-file.ts';

export type { ModelSpec, TensorName } from './model-spec.ts';

/** A pretrained model on disk, opened and checked: all tensors are there and have the right shape. */
export interface Checkpoint {
  readonly path: string;
  readonly format: 'safetensors' | 'gguf';
  readonly licence: string;
  readonly name: string;
  readonly model: ModelSpec;
  /** config.json of a Hugging Face directory. */
  readonly config?: Readonly<Record<string, unknown>> | undefined;
  /** One tensor as f32, row-major, by its neutral name. Linear weights are [out, in]; norms are ready to multiply. */
  read(name: TensorName): Promise<Float32Array>;
  /** tokenizer.json, tokenizer_config.json, chat_template.jinja, as far as the checkpoint has them. */
  readonly tokenizerFiles: ReadonlyMap<string, Uint8Array>;
  /** How a directory that `rondo export` wrote is looped, and what its depths have of their own. */
  readonly exported?: ExportedLoop | undefined;
  close(): Promise<void>;
}

/**
 * Opens a Hugging Face directory (config.json with model.safetensors or its shards), a .gguf file, or a directory
 * that holds one.
 * @throws RondoError CHECKPOINT_INVALID for what is broken, CHECKPOINT_UNSUPPORTED for what Rondo does not compute;
 * both name file, tensor or key, expected and found.
 */
export async function openCheckpoint(path: string): Promise<Checkpoint> {
  const full = resolve(path);
  const source = await openSource(full);
  try {
    return new OpenedCheckpoint(full, source);
  } catch (error) {
    await Promise.all([...source.files, ...(source.exported?.files ?? [])].map((file) => file.close()));
    throw error;
  }
}

async function openSource(path: string): Promise<Source> {
  const info = await stat(path).catch((cause: NodeJS.ErrnoException) => {
    const reason = cause.code === 'ENOENT' ? 'no such file or directory' : cause.message;
    throw new RondoError('CHECKPOINT_INVALID', `${path}: ${reason}`, { cause });
  });
  if (!info.isDirectory()) {
    if (PICKLED.test(path)) throw pickled(path);
    if (path.endsWith('.safetensors')) {
      throw new RondoError(
        'CHECKPOINT_INVALID',
        `${path}: give the directory that holds this file and its config.json`,
      );
    }
    return openGguf(path);
  }
  const files = await readdir(path);
  if (files.includes(MANIFEST_FILE)) {
    throw new RondoError(
      'CHECKPOINT_INVALID',
      `${path}: a bundle, not a checkpoint: it can be served as it is, or made a checkpoint by rondo export`,
    );
  }
  if (files.includes('config.json') && files.some((file) => file.endsWith('.safetensors'))) {
    return openHuggingFaceDirectory(path, files);
  }
  const ggufs = files.filter((file) => file.endsWith('.gguf'));
  if (ggufs.length === 1) return openGguf(join(path, ggufs[0]!));
  if (ggufs.length > 1) {
    throw new RondoError(
      'CHECKPOINT_INVALID',
      `${path}: holds ${ggufs.length} .gguf files; name one of them`,
    );
  }
  const bin = files.find((file) => PICKLED.test(file));
  if (bin) throw pickled(join(path, bin));
  throw new RondoError(
    'CHECKPOINT_INVALID',
    `${path}: not a checkpoint: expected config.json with model.safetensors (or its shards and index), or one .gguf file`,
  );
}

const PICKLED = /\.(bin|pt|pth|ckpt)$/;

const pickled = (file: string): RondoError =>
  new RondoError(
    'CHECKPOINT_UNSUPPORTED',
    `${file}: a pickled checkpoint, which can run code when it is read; save it as safetensors (save_pretrained with safe_serialization=True)`,
  );

class OpenedCheckpoint implements Checkpoint {
  readonly path: string;
  readonly format: 'safetensors' | 'gguf';
  readonly licence: string;
  readonly name: string;
  readonly model: ModelSpec;
  readonly config: Checkpoint['config'];
  readonly exported: Checkpoint['exported'];
  readonly tokenizerFiles: ReadonlyMap<string, Uint8Array>;
  readonly #source: Source;
  readonly #tensors: ReadonlyMap<TensorName, StoredTensor>;

  constructor(path: string, source: Source) {
    this.path = path;
    this.name = basename(path).replace(/\.gguf$/, '');
    this.format = source.format;
    this.licence = source.licence;
    this.model = source.model;
    this.config = source.config;
    this.exported = source.exported;
    this.tokenizerFiles = source.tokenizerFiles;
    this.#source = source;
    requireWholeHeads(source);
    this.#tensors = matchTensors(source);
  }

  async read(name: TensorName): Promise<Float32Array> {
    const wanted = name === 'head' && this.model.tiedHead ? 'embedding' : name;
    const tensor = this.#tensors.get(wanted);
    if (!tensor) throw new RondoError('INTERNAL', `${this.path}: the model has no tensor ${name}`);
    const data = await tensor.file.read(tensor);
    requireFinite(data, tensor);
    const { normOffset, interleavedRope } = this.#source;
    if (normOffset && /norm$/i.test(name)) return data.map((weight) => weight + normOffset);
    if (interleavedRope && /\.[qk](\.bias)?$/.test(name))
      return pairsToHalves(data, this.model.headDim, tensor);
    return data;
  }

  async close(): Promise<void> {
    const { files, exported } = this.#source;
    await Promise.all([...files, ...(exported?.files ?? [])].map((file) => file.close()));
  }
}

function requireWholeHeads({ inventory, model: { heads, kvHeads, headDim } }: Source): void {
  if (heads % kvHeads === 0 && headDim % 2 === 0) return;
  throw new RondoError(
    'CHECKPOINT_INVALID',
    `${inventory}: expected heads in whole groups and of even size, found ${heads} heads over ${kvHeads} key-value heads of ${headDim}`,
  );
}

/** Finds every tensor of the model and refuses those that are missing, misshapen or unknown. */
function matchTensors(source: Source): Map<TensorName, StoredTensor> {
  const { architecture, names, tensors, inventory } = source;
  const matched = new Map<TensorName, StoredTensor>();
  for (const [name, shape] of tensorShapes(source.model)) {
    const stored = storedName(names, name);
    const tensor = stored === undefined ? undefined : tensors.get(stored);
    if (!tensor) {
      throw new RondoError(
        'CHECKPOINT_INVALID',
        `${inventory}: tensor ${stored ?? name} is missing: expected shape [${shape}], found none among ${tensors.size} tensors`,
      );
    }
    requireShape(tensor, shape);
    matched.set(name, tensor);
  }
  const known = new Set([...matched.values()].map(({ name }) => name));
  for (const name of ['head', 'ropeFactors']) if (names[name]) known.add(names[name]);
  for (const [name, tensor] of tensors) {
    if (known.has(name) || architecture.ignored.some((pattern) => pattern.test(name))) continue;
    throw new RondoError(
      'CHECKPOINT_UNSUPPORTED',
      `${tensor.file.path}: tensor ${name} [${tensor.shape}] has no place in architecture ${architecture.name}; leaving it out would change the results`,
    );
  }
  return matched;
}

/**
 * Undoes the row order of llama.cpp's interleaved rotation: within each head, row 2d + j becomes row j·headDim/2 + d.
 */
function pairsToHalves(data: Float32Array, headDim: number, { shape }: StoredTensor): Float32Array {
  const width = shape.length > 1 ? shape.at(-1)! : 1;
  const rows = data.length / width;
  const half = headDim / 2;
  const ordered = new Float32Array(data.length);
  for (let row = 0; row < rows; row++) {
    const within = row % headDim;
    const to = row - within + (within % 2) * half + (within >> 1);
    ordered.set(data.subarray(row * width, (row + 1) * width), to * width);
  }
  return ordered;
}

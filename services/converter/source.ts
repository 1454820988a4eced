import type { Architecture, NameTable } from './architecture.ts';
import type { ExportedLoop } from './exported-loop.ts';
import type { ModelSpec } from './model-spec.ts';
import type { StoredTensor, TensorFile } from './tensor-file.ts';

/** A checkpoint as its format's reader found it: everything parsed, nothing checked against the architecture yet. */
export interface Source {
  readonly format: 'safetensors' | 'gguf';
  /** The file to name when a tensor is missing. */
  readonly inventory: string;
  readonly architecture: Architecture;
  readonly names: NameTable;
  readonly model: ModelSpec;
  readonly licence: string;
  /** config.json as it was read; GGUF has none. */
  readonly config?: Readonly<Record<string, unknown>>;
  readonly files: readonly TensorFile[];
  readonly tensors: ReadonlyMap<string, StoredTensor>;
  /** Added to norm weights on reading. */
  readonly normOffset: number;
  /** Whether the rows of q and k must be put back from pairs into halves. */
  readonly interleavedRope: boolean;
  readonly tokenizerFiles: ReadonlyMap<string, Uint8Array>;
  /** Of a directory that `rondo export` wrote. */
  readonly exported?: ExportedLoop;
}

/** Stored name of a neutral one, or undefined where the family has no such tensor. */
export const storedName = (names: NameTable, neutral: string): string | undefined => {
  const layer = /^layers\.(\d+)\./.exec(neutral)?.[1];
  if (layer === undefined) return names[neutral];
  return names[neutral.replace(/^layers\.\d+/, 'layers.#')]?.replace('#', layer);
};

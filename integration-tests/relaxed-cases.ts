import { readFileSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import type { InitNorms, LoopInit } from '@rondo/converter';
import { readExpected } from './expected.ts';

/** What `oracle/make_relaxed.py` wrote of one model. */
export interface RelaxedModel {
  readonly config: { readonly model_type: string };
  /** Shapes by the names that transformers gives the tensors. */
  readonly tensors: Readonly<Record<string, readonly number[]>>;
  readonly cases: readonly RelaxedCase[];
}

export interface RelaxedCase {
  readonly case: string;
  readonly convert: {
    readonly loops: number;
    readonly init: LoopInit;
    readonly initNorms?: InitNorms;
    readonly keepFirst?: number;
    readonly keepLast?: number;
    /** Factors of this rank and norms per depth; without it the layers are only tied. */
    readonly rank?: number;
  };
}

const FIXTURES = new URL('./fixtures/relaxed/', import.meta.url).pathname;

export const relaxedModel = (name: string): RelaxedModel =>
  JSON.parse(readFileSync(join(FIXTURES, `${name}.json`), 'utf8')) as RelaxedModel;

/** `prompt` [T] and, by case and as `plain`, logits [T, vocab]. */
export const relaxedLogits = (name: string): ReturnType<typeof readExpected> =>
  readExpected(join(FIXTURES, `${name}.safetensors`));

/** Writes config.json and model.safetensors of a model whose weights nobody stored. */
export async function writeRelaxedCheckpoint(directory: string, model: RelaxedModel): Promise<string> {
  await mkdir(directory, { recursive: true });
  await writeFile(join(directory, 'config.json'), JSON.stringify(model.config));
  const header: Record<string, object> = {};
  const data: Buffer[] = [];
  let at = 0;
  for (const [name, shape] of Object.entries(model.tensors)) {
    const values = weight(name, shape, model.config.model_type);
    header[name] = { dtype: 'F32', shape, data_offsets: [at, at + values.byteLength] };
    at += values.byteLength;
    data.push(Buffer.from(values.buffer));
  }
  const text = Buffer.from(JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(text.length));
  await writeFile(join(directory, 'model.safetensors'), Buffer.concat([length, text, ...data]));
  return directory;
}

/** As `weight` in `oracle/make_relaxed.py` says: MurmurHash3's finaliser over a counter from the name's CRC-32. */
function weight(name: string, shape: readonly number[], modelType: string): Float32Array<ArrayBuffer> {
  const isVector = shape.length === 1;
  const centre = isVector && name.includes('norm') && modelType !== 'gemma' ? 1 : 0;
  const matrixScale = name.includes('embed_tokens') ? 0.9 : 2 / shape.at(-1)! ** 0.5;
  const scale = isVector ? 0.35 : matrixScale;
  const first = crc32(name);
  const count = shape.reduce((product, side) => product * side, 1);
  return Float32Array.from({ length: count }, (_, at) => {
    let word = (Math.imul(at, 0x9e3779b9) + first) >>> 0;
    word = Math.imul(word ^ (word >>> 16), 0x85ebca6b) >>> 0;
    word = Math.imul(word ^ (word >>> 13), 0xc2b2ae35) >>> 0;
    return centre + scale * (((word ^ (word >>> 16)) >>> 0) / 2 ** 31 - 1);
  });
}

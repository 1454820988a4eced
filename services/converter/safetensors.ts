import { join } from 'node:path';
import { RondoError } from '@rondo/core';
import { Fields } from './fields.ts';
import { type StoredTensor, storedBytes, TensorFile } from './tensor-file.ts';
import { SAFETENSORS_FORMATS } from './tensor-formats.ts';

/** A header beyond this is a foreign file, not a model: the largest published ones stay below 10 MB. */
const HEADER_BYTES_MAX = 100_000_000;

/** One file or several with an index; `index` is the parsed model.safetensors.index.json. */
export async function openSafetensors(
  directory: string,
  index: Fields | undefined,
): Promise<{ files: TensorFile[]; tensors: Map<string, StoredTensor> }> {
  const files: TensorFile[] = [];
  const tensors = new Map<string, StoredTensor>();
  try {
    for (const name of index ? shardNames(index) : ['model.safetensors']) {
      const file = await TensorFile.open(join(directory, name));
      files.push(file);
      for (const tensor of await readHeader(file)) tensors.set(tensor.name, tensor);
    }
    return { files, tensors };
  } catch (error) {
    await Promise.all(files.map((file) => file.close()));
    throw error;
  }
}

function shardNames(index: Fields): string[] {
  const map = index.object('weight_map') ?? index.fail('weight_map', 'an object of tensor names and files');
  const names = new Set(map.keys().map((tensor) => map.text(tensor)));
  for (const name of names) {
    if (!/^[\w.-]+\.safetensors$/.test(name)) {
      throw new RondoError('CHECKPOINT_INVALID', `${index.file}: ${JSON.stringify(name)} is no shard name`);
    }
  }
  return [...names].sort();
}

/**
 * The tensors of one file by name; `file` of any of them closes it.
 * @throws RondoError CHECKPOINT_INVALID for a broken file.
 */
export async function readSafetensors(path: string): Promise<Map<string, StoredTensor>> {
  const file = await TensorFile.open(path);
  try {
    return new Map((await readHeader(file)).map((tensor) => [tensor.name, tensor]));
  } catch (error) {
    await file.close();
    throw error;
  }
}

/** Layout: u64 header length, JSON {name: {dtype, shape, data_offsets}}, data. github.com/huggingface/safetensors */
async function readHeader(file: TensorFile): Promise<StoredTensor[]> {
  const length = Number((await file.bytes(0, 8, 'the header length')).readBigUInt64LE());
  if (length > HEADER_BYTES_MAX) {
    throw new RondoError(
      'CHECKPOINT_INVALID',
      `${file.path}: not a safetensors file: a header of ${length} bytes`,
    );
  }
  const header = Fields.parse(file.path, (await file.bytes(8, length, 'the header')).toString('utf8'));
  return header
    .keys()
    .filter((name) => name !== '__metadata__')
    .map((name) => {
      const entry = header.object(name) ?? header.fail(name, 'an object');
      return readEntry(file, name, entry, 8 + length);
    });
}

function readEntry(file: TensorFile, name: string, entry: Fields, dataStart: number): StoredTensor {
  const format = SAFETENSORS_FORMATS.get(entry.text('dtype'));
  if (!format) return entry.unsupported('dtype', [...SAFETENSORS_FORMATS.keys()].join(', '));
  const shape = entry.sizes('shape');
  const [begin = 0, end = 0] = entry.sizes('data_offsets');
  const tensor: StoredTensor = { name, file, shape, format, offset: dataStart + begin };
  const bytes = storedBytes(tensor);
  if (end - begin !== bytes) {
    throw new RondoError(
      'CHECKPOINT_INVALID',
      `${file.path}: tensor ${name}: expected ${bytes} bytes for ${format.name} [${shape}], found ${end - begin}`,
    );
  }
  file.requireBytes(tensor.offset + bytes, `tensor ${name}`);
  return tensor;
}

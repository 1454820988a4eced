import { type FileHandle, open, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { elementsOf } from './tensor-file.ts';
import { diskError } from './weights-file.ts';

/** A tensor that is read when its turn comes: no more than one is held at once. */
export interface WrittenTensor {
  readonly name: string;
  readonly shape: readonly number[];
  /** As many values as `shape` says. */
  read(): Promise<Float32Array>;
}

/** Files beyond this are split, as `save_pretrained` did for long. */
const SHARD_BYTES = 5_000_000_000;
/** Node writes at most 2 GiB in one call. */
const WRITE_BYTES = 1 << 26;
/** The header is padded so that data begin on a multiple of it, for whoever maps the file. */
const ALIGNMENT_BYTES = 8;

const bytesOf = ({ shape }: WrittenTensor): number => 4 * elementsOf(shape);

/**
 * Writes model.safetensors in f32, or its shards and their index when it would grow beyond `shardBytes`.
 * @throws RondoError CONFIG_INVALID when the disk is full.
 */
export async function writeModelTensors(
  directory: string,
  tensors: readonly WrittenTensor[],
  onTensor: () => void = () => {},
  shardBytes = SHARD_BYTES,
): Promise<void> {
  const shards = shardsOf(tensors, shardBytes);
  if (shards.length === 1) {
    await writeSafetensors(join(directory, 'model.safetensors'), tensors, onTensor);
    return;
  }
  const map: Record<string, string> = {};
  for (const [index, shard] of shards.entries()) {
    const [number, count] = [index + 1, shards.length].map((value) => String(value).padStart(5, '0'));
    const name = `model-${number}-of-${count}.safetensors`;
    for (const tensor of shard) map[tensor.name] = name;
    await writeSafetensors(join(directory, name), shard, onTensor);
  }
  const metadata = { total_size: tensors.reduce((sum, tensor) => sum + bytesOf(tensor), 0) };
  const path = join(directory, 'model.safetensors.index.json');
  const text = `${JSON.stringify({ metadata, weight_map: map }, null, 2)}\n`;
  await writeFile(path, text).catch((cause: unknown) => {
    throw diskError(path, text.length, cause);
  });
}

/** In the order given; a tensor larger than a shard has one to itself. */
function shardsOf(tensors: readonly WrittenTensor[], shardBytes: number): WrittenTensor[][] {
  const shards: WrittenTensor[][] = [[]];
  let bytes = 0;
  for (const tensor of tensors) {
    if (bytes > 0 && bytes + bytesOf(tensor) > shardBytes) {
      shards.push([]);
      bytes = 0;
    }
    shards.at(-1)!.push(tensor);
    bytes += bytesOf(tensor);
  }
  return shards;
}

/**
 * Writes one .safetensors file in f32. Layout: u64 header length, JSON {name: {dtype, shape, data_offsets}} padded with
 * spaces, data. github.com/huggingface/safetensors
 * @throws RondoError CONFIG_INVALID when the disk is full.
 */
export async function writeSafetensors(
  path: string,
  tensors: readonly WrittenTensor[],
  onTensor: () => void = () => {},
): Promise<void> {
  const header: Record<string, object> = { __metadata__: { format: 'pt' } };
  let end = 0;
  for (const tensor of tensors) {
    const begin = end;
    end += bytesOf(tensor);
    header[tensor.name] = { dtype: 'F32', shape: tensor.shape, data_offsets: [begin, end] };
  }
  const json = Buffer.from(JSON.stringify(header));
  const length = Math.ceil(json.length / ALIGNMENT_BYTES) * ALIGNMENT_BYTES;
  const head = Buffer.alloc(8 + length, ' ');
  head.writeBigUInt64LE(BigInt(length));
  json.copy(head, 8);
  let handle: FileHandle | undefined;
  let written = 0;
  try {
    handle = await open(path, 'w');
    written = await writeAt(handle, head, written);
    for (const tensor of tensors) {
      const values = await tensor.read();
      written = await writeAt(
        handle,
        new Uint8Array(values.buffer, values.byteOffset, values.byteLength),
        written,
      );
      onTensor();
    }
  } catch (cause) {
    throw (cause as NodeJS.ErrnoException).syscall === undefined ? cause : diskError(path, written, cause);
  } finally {
    await handle?.close();
  }
}

/** The position behind what was written. */
async function writeAt(handle: FileHandle, bytes: Uint8Array, position: number): Promise<number> {
  for (let done = 0; done < bytes.byteLength; ) {
    const count = Math.min(WRITE_BYTES, bytes.byteLength - done);
    done += (await handle.write(bytes, done, count, position + done)).bytesWritten;
  }
  return position + bytes.byteLength;
}

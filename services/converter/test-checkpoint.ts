import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

/** Support for tests: writes checkpoints of a few kilobytes. */

export interface TinyTensor {
  readonly shape: readonly number[];
  readonly values: Float32Array;
}

export type TinyTensors = Map<string, TinyTensor>;

/** Values that differ everywhere and that bfloat16 and float16 hold exactly. */
export function tinyTensor(seed: number, ...shape: number[]): TinyTensor {
  const size = shape.reduce((total, dim) => total * dim, 1);
  return {
    shape,
    values: Float32Array.from({ length: size }, (_, at) => (((at + 7 * seed) % 129) - 64) / 64),
  };
}

export const TINY_CONFIG = {
  model_type: 'llama',
  hidden_size: 16,
  num_attention_heads: 2,
  num_key_value_heads: 1,
  num_hidden_layers: 1,
  intermediate_size: 24,
  vocab_size: 10,
  max_position_embeddings: 64,
  rms_norm_eps: 1e-5,
  rope_theta: 10000,
  hidden_act: 'silu',
  tie_word_embeddings: false,
  bos_token_id: 1,
  eos_token_id: 2,
};

/** The tensors of `TINY_CONFIG` under their Hugging Face names. */
export const tinyLlama = (): TinyTensors =>
  new Map([
    ['model.embed_tokens.weight', tinyTensor(1, 10, 16)],
    ['model.norm.weight', tinyTensor(2, 16)],
    ['lm_head.weight', tinyTensor(3, 10, 16)],
    ['model.layers.0.input_layernorm.weight', tinyTensor(4, 16)],
    ['model.layers.0.post_attention_layernorm.weight', tinyTensor(5, 16)],
    ['model.layers.0.self_attn.q_proj.weight', tinyTensor(6, 16, 16)],
    ['model.layers.0.self_attn.k_proj.weight', tinyTensor(7, 8, 16)],
    ['model.layers.0.self_attn.v_proj.weight', tinyTensor(8, 8, 16)],
    ['model.layers.0.self_attn.o_proj.weight', tinyTensor(9, 16, 16)],
    ['model.layers.0.mlp.gate_proj.weight', tinyTensor(10, 24, 16)],
    ['model.layers.0.mlp.up_proj.weight', tinyTensor(11, 24, 16)],
    ['model.layers.0.mlp.down_proj.weight', tinyTensor(12, 16, 24)],
  ]);

export type PlainType = 'F32' | 'F16' | 'BF16';

function encodePlain(values: Float32Array, type: PlainType): Buffer {
  if (type === 'F32') return Buffer.from(values.buffer.slice(0));
  if (type === 'F16') return Buffer.from(Float16Array.from(values).buffer);
  const bits = new Uint32Array(values.buffer);
  return Buffer.from(Uint16Array.from(bits, (word) => word >>> 16).buffer);
}

/** The bytes of a .safetensors file. */
export function safetensorsBytes(tensors: TinyTensors, type: PlainType = 'F32'): Buffer {
  const header: Record<string, object> = { __metadata__: { format: 'pt' } };
  const data: Buffer[] = [];
  let at = 0;
  for (const [name, { shape, values }] of tensors) {
    const bytes = encodePlain(values, type);
    header[name] = { dtype: type, shape, data_offsets: [at, at + bytes.length] };
    at += bytes.length;
    data.push(bytes);
  }
  const text = Buffer.from(JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(text.length));
  return Buffer.concat([length, text, ...data]);
}

/** Writes config.json and model.safetensors into `directory`. */
export async function writeTinyDirectory(
  directory: string,
  config: object = {},
  tensors: TinyTensors = tinyLlama(),
  type: PlainType = 'F32',
): Promise<string> {
  await mkdir(directory, { recursive: true });
  await writeFile(join(directory, 'config.json'), JSON.stringify({ ...TINY_CONFIG, ...config }));
  await writeFile(join(directory, 'model.safetensors'), safetensorsBytes(tensors, type));
  return directory;
}

/** A metadata value with its GGUF type. */
export type GgufValue =
  | { readonly u32: number }
  | { readonly f32: number }
  | { readonly bool: boolean }
  | { readonly text: string }
  | { readonly texts: readonly string[] }
  | { readonly i32s: readonly number[] }
  | { readonly f32s: readonly number[] };

export const tinyMetadata = (): Record<string, GgufValue> => ({
  'general.architecture': { text: 'llama' },
  'general.license': { text: 'mit' },
  'llama.block_count': { u32: 1 },
  'llama.context_length': { u32: 64 },
  'llama.embedding_length': { u32: 16 },
  'llama.feed_forward_length': { u32: 24 },
  'llama.attention.head_count': { u32: 2 },
  'llama.attention.head_count_kv': { u32: 1 },
  'llama.attention.layer_norm_rms_epsilon': { f32: 1e-5 },
  'llama.rope.freq_base': { f32: 10000 },
  'tokenizer.ggml.bos_token_id': { u32: 1 },
  'tokenizer.ggml.eos_token_id': { u32: 2 },
});

const GGUF_NAMES: readonly (readonly [string, string])[] = [
  ['model.embed_tokens.weight', 'token_embd.weight'],
  ['model.norm.weight', 'output_norm.weight'],
  ['lm_head.weight', 'output.weight'],
  ['model.layers.0.', 'blk.0.'],
  ['input_layernorm', 'attn_norm'],
  ['post_attention_layernorm', 'ffn_norm'],
  ['self_attn.o_proj', 'attn_output'],
  ['self_attn.', 'attn_'],
  ['mlp.', 'ffn_'],
  ['_proj', ''],
];

/** `tinyLlama` as llama.cpp's converter stores it: renamed, rows of q and k reordered within each head of 8. */
export function tinyGgufTensors(): TinyTensors {
  const stored: TinyTensors = new Map();
  for (const [name, tensor] of tinyLlama()) {
    const renamed = GGUF_NAMES.reduce((text, [from, to]) => text.replace(from, to), name);
    const interleave = /\.attn_[qk]\./.test(renamed);
    stored.set(renamed, interleave ? { shape: tensor.shape, values: halvesToPairs(tensor) } : tensor);
  }
  return stored;
}

/** convert_hf_to_gguf.py: reshape(heads, 2, half, columns).swapaxes(1, 2). */
function halvesToPairs({ shape, values }: TinyTensor): Float32Array {
  const [rows = 0, columns = 0] = shape;
  const [headDim, half] = [8, 4];
  const permuted = new Float32Array(values.length);
  for (let head = 0; head < rows / headDim; head++) {
    for (let side = 0; side < 2; side++) {
      for (let pair = 0; pair < half; pair++) {
        const from = (head * headDim + side * half + pair) * columns;
        const to = (head * headDim + pair * 2 + side) * columns;
        permuted.set(values.subarray(from, from + columns), to);
      }
    }
  }
  return permuted;
}

/** The bytes of a .gguf file, version 3, all tensors f32 unless `type` says another ggml type number. */
export function ggufBytes(
  metadata: Record<string, GgufValue> = tinyMetadata(),
  tensors: TinyTensors = tinyGgufTensors(),
  type = 0,
): Buffer {
  const head: Buffer[] = [Buffer.from('GGUF'), u32(3), u64(tensors.size), u64(Object.keys(metadata).length)];
  for (const [key, value] of Object.entries(metadata)) head.push(text(key), encodeValue(value));
  const data: Buffer[] = [];
  let at = 0;
  for (const [name, { shape, values }] of tensors) {
    head.push(text(name), u32(shape.length), ...[...shape].reverse().map(u64), u32(type), u64(at));
    const bytes = pad(Buffer.from(values.buffer.slice(0)));
    data.push(bytes);
    at += bytes.length;
  }
  return Buffer.concat([pad(Buffer.concat(head)), ...data]);
}

const ALIGNMENT = 32;

const pad = (bytes: Buffer): Buffer =>
  Buffer.concat([bytes, Buffer.alloc((ALIGNMENT - (bytes.length % ALIGNMENT)) % ALIGNMENT)]);

function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}

function u64(value: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt(value));
  return bytes;
}

const f32 = (value: number): Buffer => Buffer.from(Float32Array.of(value).buffer);

const text = (value: string): Buffer => Buffer.concat([u64(Buffer.byteLength(value)), Buffer.from(value)]);

function encodeValue(value: GgufValue): Buffer {
  if ('u32' in value) return Buffer.concat([u32(4), u32(value.u32)]);
  if ('f32' in value) return Buffer.concat([u32(6), f32(value.f32)]);
  if ('bool' in value) return Buffer.concat([u32(7), Buffer.of(value.bool ? 1 : 0)]);
  if ('text' in value) return Buffer.concat([u32(8), text(value.text)]);
  if ('texts' in value) {
    return Buffer.concat([u32(9), u32(8), u64(value.texts.length), ...value.texts.map(text)]);
  }
  if ('i32s' in value) {
    const items = Buffer.from(Int32Array.from(value.i32s).buffer);
    return Buffer.concat([u32(9), u32(5), u64(value.i32s.length), items]);
  }
  return Buffer.concat([u32(9), u32(6), u64(value.f32s.length), ...value.f32s.map(f32)]);
}

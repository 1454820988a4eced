import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Architecture, architectureNames, findArchitecture } from './architecture.ts';
import { exactPreTokenizer } from './exact-pretokenizer.ts';
import { Fields } from './fields.ts';
import { HEAD_DIM_MAX, type ModelSpec } from './model-spec.ts';
import { ropeFromConfig } from './rope.ts';
import { openSafetensors } from './safetensors.ts';
import type { Source } from './source.ts';

const INDEX_FILE = 'model.safetensors.index.json';
const TOKENIZER_FILES = ['tokenizer.json', 'tokenizer_config.json', 'chat_template.jinja'];

/** Reads a directory as `save_pretrained` writes it. `files` are the names in it. */
export async function openHuggingFaceDirectory(directory: string, files: readonly string[]): Promise<Source> {
  const readFields = async (name: string): Promise<Fields | undefined> =>
    files.includes(name)
      ? Fields.parse(join(directory, name), await readFile(join(directory, name), 'utf8'))
      : undefined;
  const config = (await readFields('config.json'))!;
  const architecture = chooseArchitecture(config);
  const model = modelFromConfig(config, await readFields('generation_config.json'), architecture);
  const readme = files.includes('README.md') ? await readFile(join(directory, 'README.md'), 'utf8') : '';
  const tokenizerFiles = new Map<string, Uint8Array>();
  for (const name of TOKENIZER_FILES.filter((file) => files.includes(file))) {
    tokenizerFiles.set(name, await readFile(join(directory, name)));
  }
  const tokenizer = tokenizerFiles.get('tokenizer.json');
  if (tokenizer) {
    tokenizerFiles.set('tokenizer.json', exactTokenizer(join(directory, 'tokenizer.json'), tokenizer));
  }
  const index = files.includes('model.safetensors') ? undefined : await readFields(INDEX_FILE);
  return {
    format: 'safetensors',
    inventory: join(directory, index ? INDEX_FILE : 'model.safetensors'),
    architecture,
    names: architecture.safetensors,
    model,
    licence: licenceOf(readme),
    ...(await openSafetensors(directory, index)),
    normOffset: architecture.normOffset,
    interleavedRope: false,
    tokenizerFiles,
  };
}

function chooseArchitecture(config: Fields): Architecture {
  const name = config.text('model_type');
  const architecture = findArchitecture(name);
  if (!architecture) config.unsupported('model_type', architectureNames('safetensors').join(', '));
  if (config.has('quantization_config')) config.unsupported('quantization_config', 'none: plain weights');
  return architecture;
}

function exactTokenizer(path: string, bytes: Uint8Array): Uint8Array {
  const text = new TextDecoder().decode(bytes);
  const preTokenizer = Fields.parse(path, text).object('pre_tokenizer');
  if (!preTokenizer) return bytes;
  const tokenizer = JSON.parse(text);
  tokenizer.pre_tokenizer = exactPreTokenizer(tokenizer.pre_tokenizer);
  return new TextEncoder().encode(JSON.stringify(tokenizer));
}

/** The `license:` line of a model card's front matter. */
const licenceOf = (readme: string): string =>
  /^---\r?\n[\s\S]*?^license:\s*"?([^\s"]+)"?\s*$[\s\S]*?^---/m.exec(readme)?.[1] ?? 'unknown';

function modelFromConfig(
  config: Fields,
  generation: Fields | undefined,
  architecture: Architecture,
): ModelSpec {
  const hidden = config.count('hidden_size');
  const heads = config.count('num_attention_heads');
  const kvHeads = config.count('num_key_value_heads', heads);
  const headDim = config.count('head_dim', architecture.defaults.headDim ?? hidden / heads, HEAD_DIM_MAX);
  const context = config.count('max_position_embeddings');
  const actKey = config.has('hidden_activation') ? 'hidden_activation' : 'hidden_act';
  const activation = architecture.activations[config.text(actKey, Object.keys(architecture.activations)[0])];
  if (!activation) config.unsupported(actKey, Object.keys(architecture.activations).join(', '));
  architecture.check(config);
  const biases = architecture.biases(config);
  const bos = (config.has('bos_token_id') ? config : generation)?.ids('bos_token_id')[0];
  return {
    architecture: architecture.name,
    layers: config.count('num_hidden_layers'),
    hidden,
    heads,
    kvHeads,
    headDim,
    ffn: config.count('intermediate_size'),
    vocab: config.count('vocab_size'),
    context,
    normEpsilon: config.number('rms_norm_eps', 1e-6),
    activation,
    embeddingScale: architecture.embeddingScale(hidden),
    tiedHead: config.flag('tie_word_embeddings', architecture.defaults.tiedHead),
    qkvBias: biases.qkv,
    outputBias: biases.output,
    headNorms: architecture.headNorms,
    sandwichNorms: architecture.sandwichNorms,
    rope: ropeFromConfig(config, headDim, context),
    ...(architecture.loop && { loop: architecture.loop(config) }),
    ...(bos !== undefined && { bos }),
    // What ends a chat turn is often listed only for generation.
    eos: (generation?.has('eos_token_id') ? generation : config).ids('eos_token_id'),
  };
}

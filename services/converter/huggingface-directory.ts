import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { EXPORTED_MANIFEST_FILE } from '@rondo/bundle';
import { type Architecture, architectureNames, findArchitecture } from './architecture.ts';
import { exactPreTokenizer } from './exact-pretokenizer.ts';
import { openExportedLoop } from './exported-loop.ts';
import { Fields } from './fields.ts';
import { modelFromConfig } from './huggingface-model.ts';
import { openSafetensors } from './safetensors.ts';
import type { Source } from './source.ts';
import { elementsOf, storedAlike } from './tensor-file.ts';

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
  const said = modelFromConfig(config, await readFields('generation_config.json'), architecture);
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
  const weights = await openSafetensors(directory, index);
  try {
    const untied = said.tiedHead && (await hasOwnHead(weights.tensors, architecture));
    const model = untied ? { ...said, tiedHead: false } : said;
    const loop = files.includes(EXPORTED_MANIFEST_FILE)
      ? await openExportedLoop(directory, model, architecture)
      : undefined;
    return {
      format: 'safetensors',
      inventory: join(directory, index ? INDEX_FILE : 'model.safetensors'),
      architecture,
      names: architecture.safetensors,
      model,
      licence: licenceOf(readme),
      config: untied ? { ...config.plain, tie_word_embeddings: false } : config.plain,
      ...weights,
      ...(loop && { exported: loop }),
      normOffset: architecture.normOffset,
      interleavedRope: false,
      tokenizerFiles,
    };
  } catch (error) {
    await Promise.all(weights.files.map((file) => file.close()));
    throw error;
  }
}

/**
 * Whether a head is stored that is not the embedding. Then `transformers` (version 5) does not tie them, whatever config.json says.
 * One without elements is none: DeepSpeed's ZeRO-3 leaves such of a tied head.
 */
async function hasOwnHead(
  tensors: Source['tensors'],
  { safetensors: { head, embedding } }: Architecture,
): Promise<boolean> {
  const [own, shared] = [tensors.get(head!), tensors.get(embedding!)];
  if (!own || !shared || elementsOf(own.shape) === 0) return false;
  return !(await storedAlike(own, shared));
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

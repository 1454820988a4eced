import { mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Bundle, Manifest } from '@rondo/bundle';
import { byteLevelCharacter } from './token-bytes.ts';

/** Ids of the tiny tokenizer: bytes are 0…255, then merged pieces, then control tokens. */
export const TINY = { he: 256, the: 257, cat: 259, end: 260, start: 261, context: 128, vocab: 264 } as const;

const PIECES = ['he', 'the', 'ca', 'cat'];
const CHATML =
  "{% for message in messages %}{% if message['role'] not in ['system', 'user', 'assistant'] %}{{ raise_exception('unknown role') }}{% endif %}<|start|>{{ message['role'] + '\\n' + message['content'] }}<|end|>\n{% endfor %}{% if add_generation_prompt %}<|start|>assistant\n{% endif %}";

/** A byte-level tokenizer.json with four merges and two control tokens. */
export function tinyTokenizer(normalizer: object | null = null): object {
  const vocab: Record<string, number> = {};
  for (let byte = 0; byte < 256; byte++) vocab[byteLevelCharacter(byte)] = byte;
  for (const [index, piece] of PIECES.entries()) vocab[piece] = 256 + index;
  const control = (id: number, content: string) => ({
    id,
    content,
    single_word: false,
    lstrip: false,
    rstrip: false,
    normalized: false,
    special: true,
  });
  return {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: [control(TINY.end, '<|end|>'), control(TINY.start, '<|start|>')],
    normalizer,
    pre_tokenizer: { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: true },
    post_processor: null,
    decoder: { type: 'ByteLevel', add_prefix_space: true, trim_offsets: true, use_regex: true },
    model: {
      type: 'BPE',
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: false,
      vocab,
      merges: [
        ['h', 'e'],
        ['t', 'he'],
        ['c', 'a'],
        ['ca', 't'],
      ],
    },
  };
}

export interface TinyOptions {
  readonly tokenizer?: boolean;
  /** The tokenizer's, as in tokenizer.json; none unless told otherwise. */
  readonly normalizer?: object;
  readonly chatTemplate?: string | undefined;
  readonly exit?: Partial<Manifest['exit']>;
  /** One of each unless told otherwise. */
  readonly layers?: Manifest['layers'];
}

/** A bundle directory with tokenizer files and no graphs: all that a coordinator opens. Removed by the system. */
export async function tinyBundle(options: TinyOptions = {}): Promise<Bundle> {
  const { tokenizer = true, chatTemplate = CHATML, exit = {} } = options;
  const { layers = { prelude: 1, block: 1, coda: 1 }, normalizer } = options;
  const directory = await mkdtemp(join(tmpdir(), 'rondo-coordinator-'));
  await writeFile(join(directory, 'tokenizer.json'), JSON.stringify(tinyTokenizer(normalizer)));
  const config = { bos_token: '<|start|>', eos_token: { content: '<|end|>' } };
  const withTemplate = chatTemplate === '' ? config : { ...config, chat_template: chatTemplate };
  await writeFile(join(directory, 'tokenizer_config.json'), JSON.stringify(withTemplate));
  const manifest: Manifest = {
    schemaVersion: 2,
    name: 'tiny',
    source: { checkpoint: 'tiny', architecture: 'llama', licence: 'Apache-2.0' },
    shape: { hidden: 8, heads: 2, kvHeads: 1, headDim: 4, vocab: TINY.vocab, context: TINY.context },
    layers,
    maxDepth: 4,
    loop: { first: 1, last: 1, damping: 1 },
    exit: { policy: 'none', threshold: 0, minDepth: 1, signals: ['gate', 'latent-diff'], ...exit },
    kvPolicy: 'last-exited',
    precision: 'f32',
    headCandidates: 64,
    pagePositions: 16,
    tokens: { eos: [TINY.end] },
    graphs: {
      prelude: 'prelude.onnx',
      block: 'block.onnx',
      coda: 'coda.onnx',
      head: 'head.onnx',
      propagate: 'propagate.onnx',
    },
    segments: {
      prelude: ['prelude.0.onnx', 'prelude.1.onnx'],
      block: ['block.0.onnx', 'block.1.onnx'],
      coda: ['coda.0.onnx', 'coda.1.onnx'],
    },
    rope: { inverseFrequencies: [1, 0.1], attentionFactor: 1 },
    ...(tokenizer ? { tokenizer: { tokenizer: 'tokenizer.json', config: 'tokenizer_config.json' } } : {}),
    files: [],
  };
  return { directory, manifest, digest: 'd'.repeat(64) };
}

import { globSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Manifest } from '@rondo/bundle';
import type { LoopOptions } from '@rondo/converter';
import { readExpected } from './expected.ts';

const FIXTURES = new URL('./fixtures/tiny/', import.meta.url).pathname;

/** One sequence whose rows exit as recorded, under one policy, and the logits PyTorch computes for it. */
export interface KvPolicyCase {
  /** The fixture's name, such as `llama-gqa`. */
  readonly name: string;
  /** Directory of the checkpoint. */
  readonly checkpoint: string;
  /** How to loop it; the fixture holds for f32. */
  readonly convert: LoopOptions;
  readonly policy: Manifest['kvPolicy'];
  /** Ids of every row [promptRows + exits.length]: generated rows are given, not sampled. */
  readonly ids: readonly number[];
  /** Rows of the prompt; they run every pass. */
  readonly promptRows: number;
  /** Passes that each generated row runs, from 1. */
  readonly exits: readonly number[];
  /** [1 + exits.length] rows of [vocab]: the last prompt row, then each generated row at its exit. */
  readonly logits: readonly Float32Array[];
}

interface Listed {
  readonly name: string;
  readonly convert: { readonly loopLayers?: string; readonly loops?: number; readonly damping?: number };
  readonly promptRows: number;
  readonly policies: readonly Manifest['kvPolicy'][];
  readonly expected: string;
}

/**
 * Every case that `oracle/make_kv_policies.py` wrote, checkpoint by checkpoint.
 * @throws Error naming the fixture when there is none, or when its tensors do not fit together.
 */
export function* kvPolicyCases(): Generator<KvPolicyCase> {
  const lists = globSync('*/kv-policies.json', { cwd: FIXTURES }).sort();
  if (lists.length === 0) throw new Error(`${FIXTURES}: no kv-policies.json; oracle/README.md makes them`);
  for (const list of lists) yield* casesOf(join(FIXTURES, list));
}

function* casesOf(list: string): Generator<KvPolicyCase> {
  const { name, convert, promptRows, policies, expected } = JSON.parse(readFileSync(list, 'utf8')) as Listed;
  const path = join(dirname(list), expected);
  const tensors = readExpected(path);
  const tensor = (key: string): Float32Array | Int32Array => {
    const found = tensors.get(key);
    if (!found) throw new Error(`${path}: no tensor ${key}`);
    return found;
  };
  const ids = [...tensor('ids')];
  const exits = [...tensor('exits')];
  if (ids.length !== promptRows + exits.length) {
    throw new Error(`${path}: ${ids.length} ids for ${promptRows} prompt rows and ${exits.length} exits`);
  }
  const [first, last] = (convert.loopLayers ?? '').split('-').map(Number);
  for (const policy of policies) {
    yield {
      name,
      checkpoint: join(dirname(list), 'checkpoint'),
      convert: {
        loops: convert.loops,
        loopLayers: convert.loopLayers ? { first: first!, last: last! } : undefined,
        damping: convert.damping,
      },
      policy,
      ids,
      promptRows,
      exits,
      logits: rowsOf(tensor(`logits_${policy}`), 1 + exits.length, path),
    };
  }
}

function rowsOf(flat: Float32Array | Int32Array, rows: number, path: string): Float32Array[] {
  if (!(flat instanceof Float32Array) || flat.length === 0 || flat.length % rows !== 0) {
    throw new Error(`${path}: ${flat.length} logits are not ${rows} rows of f32`);
  }
  const vocab = flat.length / rows;
  return Array.from({ length: rows }, (_, row) => flat.subarray(row * vocab, (row + 1) * vocab));
}

import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { type Bundle, openBundle } from '@rondo/bundle';
import { convert } from '@rondo/converter';
import { type BlockShape, RandomCheckpoint } from '../adapters-checkpoint.ts';
import type { SuiteContext } from '../suite.ts';
import { byteTokenizer } from './byte-tokenizer.ts';

/** Small enough that a pass takes well under a millisecond: the machine's time belongs to the cluster, not to the model. */
const SHAPE: BlockShape = { name: 'chaos', hidden: 64, heads: 4, kvHeads: 2, headDim: 16, ffn: 96 };
const CONTEXT = 1024;
/** First and last layer as they are, two between them three times. */
const LAYERS = 4;
const LOOP = { loopLayers: { first: 1, last: 2 }, loops: 3, damping: 0.5 };
/** Ends a text early now and then. */
const END_ID = 0;

/** A real bundle in f32 with random weights and a tokenizer of bytes; all of it follows from the seed. */
export async function chaosBundle({ cache, seed }: Pick<SuiteContext, 'cache' | 'seed'>): Promise<Bundle> {
  const out = join(cache, 'bench', `chaos-${seed}`);
  const checkpoint = new RandomCheckpoint(SHAPE, CONTEXT, seed, {
    layers: LAYERS,
    tokenizerFiles: byteTokenizer(),
    eos: [END_ID],
  });
  await mkdir(join(cache, 'bench'), { recursive: true });
  await convert({ checkpoint, out, precision: 'f32', ...LOOP });
  return openBundle(out);
}

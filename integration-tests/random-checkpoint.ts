import { type Checkpoint, openCheckpoint } from '@rondo/converter';

const FIXTURE = new URL('./fixtures/tiny/llama-gqa/checkpoint', import.meta.url).pathname;
/** Layers whose matrices the engine's kernel takes, with a feed-forward of an odd number of groups. */
const SIZES = { layers: 6, hidden: 64, heads: 4, kvHeads: 2, headDim: 16, ffn: 160 };

/** The tiny checkpoint's model with other sizes and random weights. */
export async function randomCheckpoint(model: Partial<Checkpoint['model']> = {}): Promise<Checkpoint> {
  const tiny = await openCheckpoint(FIXTURE);
  const sizes = { ...tiny.model, ...SIZES, ...model };
  const half = sizes.headDim / 2;
  // As config.json's rope_theta is read, so that the bundle can be exported.
  const inverseFrequencies = Array.from({ length: half }, (_, at) =>
    Math.fround(1 / Math.fround(10_000 ** (at / half))),
  );
  const spec = { ...sizes, rope: { ...sizes.rope, inverseFrequencies } };
  return {
    path: tiny.path,
    format: tiny.format,
    name: tiny.name,
    licence: tiny.licence,
    tokenizerFiles: new Map(),
    model: spec,
    read: async (tensor) => valuesOf(tensor, spec),
    close: () => tiny.close(),
  };
}

function valuesOf(tensor: string, model: Checkpoint['model']): Float32Array {
  const { hidden, heads, kvHeads, headDim, ffn, vocab } = model;
  const sizes: Record<string, number> = {
    embedding: vocab * hidden,
    head: vocab * hidden,
    'q.bias': heads * headDim,
    'k.bias': kvHeads * headDim,
    'v.bias': kvHeads * headDim,
    q: heads * headDim * hidden,
    k: kvHeads * headDim * hidden,
    v: kvHeads * headDim * hidden,
    o: heads * headDim * hidden,
    gate: ffn * hidden,
    up: ffn * hidden,
    down: ffn * hidden,
  };
  const role = tensor.replace(/^layers\.\d+\./, '');
  const size = sizes[role];
  let word = [...tensor].reduce((sum, letter) => Math.imul(sum, 31) + letter.charCodeAt(0), 7) >>> 0;
  const next = () => {
    word = (Math.imul(word, 1664525) + 1013904223) >>> 0;
    return word / 2 ** 31 - 1;
  };
  return size === undefined
    ? Float32Array.from({ length: hidden }, () => 1 + next() / 4)
    : Float32Array.from({ length: size }, () => next() / 4);
}

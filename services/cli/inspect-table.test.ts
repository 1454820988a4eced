import assert from 'node:assert/strict';
import { test } from 'node:test';
import { kvBytesPerToken, type Manifest } from '@rondo/bundle';
import { bundleRows, rowsText } from './inspect-table.ts';

const file = (path: string, bytes: number) => ({ path, bytes, sha256: 'a'.repeat(64) });

const MANIFEST: Manifest = {
  schemaVersion: 2,
  name: 'looped',
  source: { checkpoint: 'small', architecture: 'llama', licence: 'apache-2.0' },
  shape: { hidden: 576, heads: 9, kvHeads: 3, headDim: 64, vocab: 49_152, context: 8192 },
  layers: { prelude: 4, block: 4, coda: 22 },
  maxDepth: 2,
  loop: { first: 4, last: 7, damping: 0.5 },
  exit: { policy: 'none', threshold: 1, minDepth: 1, signals: ['latent-diff'] },
  kvPolicy: 'last-exited',
  precision: 'int8',
  pagePositions: 16,
  headCandidates: 64,
  tokens: { bos: 1, eos: [2] },
  graphs: { prelude: 'prelude.onnx', block: 'block.onnx', head: 'head.onnx' },
  segments: { prelude: [], block: [], coda: [] },
  rope: { inverseFrequencies: [], attentionFactor: 1 },
  tokenizer: { tokenizer: 'tokenizer.json' },
  files: [
    file('weights.bin', 248_908_032),
    file('coda.0.onnx', 1000),
    file('coda.1.onnx', 2000),
    file('head.onnx', 2060),
  ],
};

const told = (manifest: Manifest, name: string) =>
  new Map(bundleRows(manifest, 'bundles/looped', 'd'.repeat(64))).get(name);

test('a token takes K and V in every layer of the prelude and the coda, and of the block once for each pass', () => {
  // 4 + 2 · 4 + 22 layers, each K and V of 3 heads of 64 floats.
  assert.equal(kvBytesPerToken(MANIFEST), 34 * 2 * 3 * 64 * 4);
  // Beside quantised weights they are kept in half the bytes.
  assert.equal(told(MANIFEST, 'K and V'), '26,112 bytes a token, 213.9 MB for a whole context');
  assert.equal(
    told({ ...MANIFEST, precision: 'f32' }, 'K and V'),
    '52,224 bytes a token, 427.8 MB for a whole context',
  );
});

test('a repeated block and a tied one are told apart, and so are exits that are there and those that a request may choose', () => {
  assert.equal(told(MANIFEST, 'loop'), "the source's layers 4-7 repeated, damping 0.5");
  assert.match(told(MANIFEST, 'exits')!, /^none; a request may choose among none, confidence, latent-diff$/);
  const tied: Manifest = {
    ...MANIFEST,
    loop: { first: 0, last: 29, damping: 1 },
    tied: { init: 'average', initNorms: 'average', norms: 'per-depth' },
    exit: { policy: 'latent-diff', threshold: 0.25, minDepth: 1, signals: ['latent-diff'] },
    adapters: { rank: 64, targets: ['q', 'v'], method: 'integer', energy: 0.9 },
  };
  assert.match(told(tied, 'loop')!, /layers 0-29 tied, begun as average \(norms average\).* per-depth/);
  assert.match(told(tied, 'exits')!, /^latent-diff, threshold 0\.25, 1 pass at least; /);
  assert.equal(told(tied, 'adapters'), 'rank 64 at most, energy 0.9, on q, v, int8, applied integer');
});

test('segments of a stack are one line, all else is named with its sha256', () => {
  const text = rowsText(bundleRows(MANIFEST, 'bundles/looped', 'd'.repeat(64)));
  assert.match(text, /^files +4, 248\.9 MB/m);
  assert.match(text, /^ +weights\.bin {2}248\.9 MB {2}a{64}$/m);
  assert.match(text, /^ +coda\.\*\.onnx {2}3,000 bytes in 2$/m);
  assert.match(text, /^digest +d{64}$/m);
});

test('what has one pass is not called a loop', () => {
  const plain: Manifest = { ...MANIFEST, maxDepth: 1, loop: { first: 0, last: 29, damping: 1 } };
  assert.equal(told(plain, 'depth'), '1 pass: not looped');
  assert.equal(told(plain, 'loop'), "the source's layers 0-29");
  assert.equal(told(plain, 'exits'), 'none: there is one pass');
});

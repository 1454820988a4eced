import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { RondoError } from '@rondo/core';
import fc from 'fast-check';
import { ggufBytes, tinyGgufTensors, tinyMetadata } from './test-checkpoint.ts';
import { GgufFiles } from './test-gguf-files.ts';

let files: GgufFiles;
before(async () => {
  files = await GgufFiles.make();
});
after(() => files.remove());

test('a file cut anywhere is refused as truncated', async () => {
  const bytes = ggufBytes();
  for (let length = bytes.length - 33; length > 4; length -= 97) {
    await files.refused(bytes.subarray(0, length), 'CHECKPOINT_INVALID', 'tiny.gguf', 'truncated');
  }
});

test('a file with a wrong byte opens, or is refused by an error of the catalogue', async () => {
  const bytes = ggufBytes();
  await fc.assert(
    fc.asyncProperty(fc.nat(1800), fc.integer({ min: 1, max: 255 }), async (at, change) => {
      const wrong = Buffer.from(bytes);
      wrong[at] = wrong[at]! ^ change;
      try {
        await (await files.opened(wrong)).close();
      } catch (error) {
        assert.ok(error instanceof RondoError && error.code.startsWith('CHECKPOINT_'), String(error));
      }
    }),
    { numRuns: 300 },
  );
});

test('a foreign file is refused', () =>
  files.refused(
    Buffer.from('PK\u0003\u0004 something else'),
    'CHECKPOINT_INVALID',
    'not a GGUF file',
    '"PK',
  ));

test('an empty file is refused', () => files.refused(Buffer.of(), 'CHECKPOINT_INVALID', 'not a GGUF file'));

test('another version is refused', async () => {
  const bytes = ggufBytes();
  bytes.writeUInt32BE(3, 4);
  await files.refused(bytes, 'CHECKPOINT_UNSUPPORTED', 'big-endian');
});

test('a packing that is not read is refused by number', () =>
  files.refused(
    ggufBytes(tinyMetadata(), tinyGgufTensors(), 23),
    'CHECKPOINT_UNSUPPORTED',
    'token_embd.weight',
    'type 23',
    'Q4_1',
  ));

test('rows that do not fill blocks are refused', () =>
  files.refused(
    ggufBytes(tinyMetadata(), tinyGgufTensors(), 8),
    'CHECKPOINT_INVALID',
    'token_embd.weight',
    'multiples of 32',
  ));

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { GGML_FORMATS } from './tensor-formats.ts';

/** Random blocks and their values by gguf-py 0.19 (`gguf.quants.dequantize`), base64. */
const FIXTURE: Record<string, { packed: string; values: string }> = JSON.parse(
  readFileSync(new URL('./fixtures/dequantize.json', import.meta.url), 'utf8'),
);

for (const format of GGML_FORMATS.values()) {
  test(`${format.name} decodes to the very floats of ggml's reference`, () => {
    const { packed, values } = FIXTURE[format.name]!;
    const source = Buffer.from(packed, 'base64');
    const expected = new Float32Array(new Uint8Array(Buffer.from(values, 'base64')).buffer);
    const target = new Float32Array((source.length / format.bytes) * format.elements);
    format.decode(source, target);
    assert.deepEqual(target, expected);
  });
}

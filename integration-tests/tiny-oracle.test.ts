import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { openBundle } from '@rondo/bundle';
import { convert, openCheckpoint } from '@rondo/converter';
import { SerialModel } from '@rondo/lab';
import { readExpected } from './expected.ts';

/** Logits must agree within this, relative to the largest logit of the fixture. */
const TOLERANCE = 1e-4;
const FIXTURES = new URL('./fixtures/tiny/', import.meta.url).pathname;

interface Case {
  readonly case: string;
  readonly convert: {
    readonly loops?: number;
    readonly loopLayers?: string;
    readonly damping?: number;
  };
  readonly expected: string;
}

let directory: string;
before(async () => {
  directory = await mkdtemp(join(tmpdir(), 'rondo-oracle-'));
});
after(() => rm(directory, { recursive: true, force: true }));

for (const name of readdirSync(FIXTURES).sort()) {
  if (!existsSync(join(FIXTURES, name, 'cases.json'))) continue;
  const { cases } = JSON.parse(readFileSync(join(FIXTURES, name, 'cases.json'), 'utf8')) as { cases: Case[] };
  describe(`${name} agrees with PyTorch at every position`, () => {
    for (const item of cases) {
      test(item.case, async () => {
        const out = join(directory, `${name}-${item.case}`);
        const checkpoint = await openCheckpoint(join(FIXTURES, name, 'checkpoint'));
        const [first, last] = (item.convert.loopLayers ?? '').split('-').map(Number);
        await convert({
          checkpoint,
          out,
          precision: 'f32',
          loops: item.convert.loops === 1 ? undefined : item.convert.loops,
          loopLayers: item.convert.loopLayers ? { first: first!, last: last! } : undefined,
          damping: item.convert.damping,
        });
        await checkpoint.close();
        const bundle = await openBundle(out);
        for (const attention of ['pages', 'graph'] as const) {
          const model = await SerialModel.open(bundle, { threads: 2, positions: 320, attention });
          try {
            await compare(model, readExpected(join(FIXTURES, name, item.expected)));
          } finally {
            await model.close();
          }
        }
      });
    }
  });
}

test('the exit gate of every Ouro pass agrees with PyTorch', async () => {
  const out = join(directory, 'ouro-gates');
  const checkpoint = await openCheckpoint(join(FIXTURES, 'ouro', 'checkpoint'));
  const { maxDepth } = await convert({ checkpoint, out, precision: 'f32' });
  await checkpoint.close();
  const expected = readExpected(join(FIXTURES, 'ouro', 'gates.safetensors'));
  const ids = [...expected.get('prompt_17')!];
  const gates = expected.get('gate_17')!;
  const model = await SerialModel.open(await openBundle(out), { threads: 1, positions: 32 });
  try {
    let seen = 0;
    await model.forward(ids, (depth, { gate }) => {
      gate!.forEach((value, row) => {
        assert.ok(Math.abs(value - gates[depth * ids.length + row]!) < 1e-4, `pass ${depth} position ${row}`);
        seen++;
      });
    });
    assert.equal(seen, maxDepth * ids.length);
  } finally {
    await model.close();
  }
});

/** Every stored prompt in one chunk and in uneven ones, whose borders fall inside and on pages. */
async function compare(model: SerialModel, expected: ReturnType<typeof readExpected>): Promise<void> {
  for (const length of [1, 17, 300]) {
    const prompt = expected.get(`prompt_${length}`);
    assert.ok(prompt, `the fixture holds no prompt of ${length}`);
    const ids = [...prompt];
    const logits = expected.get(`logits_${length}`)!;
    let scale = 0;
    for (const logit of logits) scale = Math.max(scale, Math.abs(logit));
    for (const chunkRows of [300, 64, 7]) {
      model.reset();
      let at = 0;
      let worst = 0;
      for (let start = 0; start < length; start += chunkRows) {
        for (const logit of await model.forward(ids.slice(start, start + chunkRows))) {
          worst = Math.max(worst, Math.abs(logit - logits[at++]!));
        }
      }
      assert.equal(at, logits.length);
      assert.ok(
        worst <= TOLERANCE * scale,
        `prompt ${length} in chunks of ${chunkRows}: off by ${worst} of ${scale}`,
      );
    }
  }
}

import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { convert, openCheckpoint } from '@rondo/converter';
import { assertClose, logitsOf } from './logits.ts';

const run = promisify(execFile);
const ROOT = fileURLToPath(new URL('..', import.meta.url));
const PYTHON = join(ROOT, '.cache', 'uptrain', 'bin', 'python');
const TESTS = join(ROOT, 'services', 'uptrain', 'tests');
const MISSING = existsSync(PYTHON) ? false : 'PyTorch is not here: make uptrain-venv brings it';

let directory: string;
before(async () => {
  directory = await mkdtemp(join(tmpdir(), 'rondo-uptrain-'));
});
after(() => rm(directory, { recursive: true, force: true }));

describe('the trainer computes what the engine computes of the same directory', { skip: MISSING }, () => {
  for (const [what, sizes] of [
    ['prelude, block and gate', {}],
    ['a coda too', { coda: 1 }],
    ['factors whose rank some matrices are too small for', { kv_heads: 1, rank: 24 }],
    ['factors of some linears alone', { targets: ['q', 'v'] }],
  ] as const) {
    test(what, async () => {
      const exported = join(directory, what);
      await run(PYTHON, [join(TESTS, 'write_random_model.py'), exported, JSON.stringify(sizes)]);
      const expected = JSON.parse(await readFile(join(exported, 'expected.json'), 'utf8'));
      const checkpoint = await openCheckpoint(exported);
      const out = join(directory, `${what}, converted`);
      await convert({ checkpoint, out, precision: 'f32' });
      await checkpoint.close();
      assertClose(await logitsOf(out, expected.ids), expected.logits, what, 1e-4);
    });
  }
});

test("the trainer's own tests pass", { skip: MISSING }, async () => {
  await run(PYTHON, ['-m', 'unittest', '-q'], { cwd: TESTS });
});

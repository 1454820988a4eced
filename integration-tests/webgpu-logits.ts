// The process of webgpu.test.ts: prints how far logits on WebGPU are from those on the CPU, case by case, as JSON lines.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openBundle } from '@rondo/bundle';
import { convert, openCheckpoint } from '@rondo/converter';
import { SerialModel } from '@rondo/lab';
import { distance } from './logits.ts';

const PROMPT = Array.from({ length: 25 }, (_, at) => 3 + ((at * 11) % 80));
/** Tokens that leave the loop after so many passes: what deeper passes see of them is copied on the device. */
const DECODED = [2, 1, 3, 3];

const directory = await mkdtemp(join(tmpdir(), 'rondo-webgpu-'));
for (const name of process.argv.slice(2)) {
  const checkpoint = await openCheckpoint(
    new URL(`./fixtures/tiny/${name}/checkpoint`, import.meta.url).pathname,
  );
  const out = join(directory, name);
  const loop = checkpoint.model.loop ? {} : { loopLayers: { first: 1, last: 2 }, loops: 3, damping: 1 / 3 };
  const { maxDepth } = await convert({ checkpoint, out, precision: 'f32', ...loop });
  await checkpoint.close();
  const logits = { cpu: [] as Float32Array[], webgpu: [] as Float32Array[] };
  for (const provider of ['cpu', 'webgpu'] as const) {
    const model = await SerialModel.open(await openBundle(out), { threads: 1, positions: 64, provider });
    logits[provider].push(await model.forward(PROMPT.slice(0, 14)), await model.forward(PROMPT.slice(14)));
    for (const passes of DECODED)
      logits[provider].push(await model.row(5 + passes, Math.min(passes, maxDepth)));
    await model.close();
  }
  const apart = logits.cpu.map((expected, at) => distance(logits.webgpu[at]!, expected));
  process.stdout.write(`${JSON.stringify({ name, apart })}\n`);
}
await rm(directory, { recursive: true });

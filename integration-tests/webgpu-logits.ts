// The process of webgpu.test.ts: prints how far logits on WebGPU are from those on the CPU, case by case, as JSON lines. A case is
// `checkpoint:precision`, `checkpoint:precision:rank` with adapters of that rank, or `checkpoint:precision:norms` with norms of each depth; what is quantised is held to f32 of the values that it was rounded to, for the CPU rounds rows, too.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Bundle, type Manifest, openBundle } from '@rondo/bundle';
import {
  type Checkpoint,
  type ConvertOptions,
  convert,
  exportBundle,
  openCheckpoint,
} from '@rondo/converter';
import { SerialModel } from '@rondo/lab';
import { ALL_TARGETS, TinyFactors } from './adapted-checkpoint.ts';
import { distance } from './logits.ts';

const PROMPT = Array.from({ length: 25 }, (_, at) => 3 + ((at * 11) % 80));
/** Tokens that leave the loop after so many passes: what deeper passes see of them is copied on the device. */
const DECODED = [2, 1, 3, 3];

const directory = await mkdtemp(join(tmpdir(), 'rondo-webgpu-'));
for (const name of process.argv.slice(2)) {
  const [fixture, precision, perDepth] = name.split(':') as [string, Manifest['precision'], string?];
  const out = join(directory, name);
  const checkpoint = await openCheckpoint(
    new URL(`./fixtures/tiny/${fixture}/checkpoint`, import.meta.url).pathname,
  );
  const { maxDepth } = await convert({ checkpoint, out, precision, ...loopOf(checkpoint, perDepth) });
  await checkpoint.close();
  const bundles = { webgpu: out, cpu: precision === 'f32' ? out : await dequantised(out) };
  const logits = { cpu: [] as Float32Array[], webgpu: [] as Float32Array[] };
  for (const provider of ['cpu', 'webgpu'] as const) {
    const bundle = withExactKv(await openBundle(bundles[provider]));
    const model = await SerialModel.open(bundle, { threads: 1, positions: 64, provider });
    logits[provider].push(await model.forward(PROMPT.slice(0, 14)), await model.forward(PROMPT.slice(14)));
    for (const passes of DECODED)
      logits[provider].push(await model.row(5 + passes, Math.min(passes, maxDepth)));
    await model.close();
  }
  const apart = logits.cpu.map((expected, at) => distance(logits.webgpu[at]!, expected));
  process.stdout.write(`${JSON.stringify({ name, apart })}\n`);
}
await rm(directory, { recursive: true });

/** What `convert` is told of the loop, and of what depths differ in. */
function loopOf({ model }: Checkpoint, perDepth: string | undefined): Partial<ConvertOptions> {
  if (perDepth === 'norms') {
    return { loops: 3, init: 'average', initNorms: 'average', norms: 'per-depth', keepFirst: 1, keepLast: 0 };
  }
  const repeated = { loopLayers: { first: 1, last: 2 }, loops: 3, damping: 1 / 3 };
  const factors = perDepth && new TinyFactors(model, Number(perDepth));
  return {
    ...(!model.loop && repeated),
    ...(factors && { adapters: { targets: ALL_TARGETS, factorsOf: factors.factorsOf } }),
  };
}

/** K and V in 32 bits: our attention over pages, the CPU's, rounds them to bfloat16 beside rounded weights. */
function withExactKv(bundle: Bundle): Bundle {
  return { ...bundle, manifest: { ...bundle.manifest, precision: 'f32' } };
}

/** The same model in f32. */
async function dequantised(bundle: string): Promise<string> {
  const [weights, out] = [`${bundle}-weights`, `${bundle}-f32`];
  await exportBundle({ bundle: await openBundle(bundle), out: weights });
  const checkpoint = await openCheckpoint(weights);
  await convert({ checkpoint, out, precision: 'f32' });
  await checkpoint.close();
  return out;
}

import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Bundle, bundleBytes, kvBytesPerPosition, openBundle } from '@rondo/bundle';
import { convert, openCheckpoint } from '@rondo/converter';
import { bootstrap } from '../eval/bootstrap.ts';
import { pagesOf } from '../eval/cells.ts';
import { depthScores } from '../eval/depth-scores.ts';
import { metricOf, metricValue } from '../eval/metrics.ts';
import { type Protocol, prepareProtocol } from '../eval/protocol.ts';
import { Sequences } from '../eval/sequences.ts';
import { type EvalSuite, openSuite } from '../eval/suite.ts';
import type { WindowScore } from '../eval/window-scores.ts';
import { median } from '../load/quantile.ts';
import { benchBundle, benchCheckpoint, converterDigest } from './bench-bundle.ts';
import { conversionGoals, qualityPlot, rankPlot } from './conversion-findings.ts';
import { allWays, type ConversionWay, QUICK_WAYS, wayName } from './conversion-ways.ts';
import { EngineLoop } from './engine-loop.ts';
import type { Row, Suite, SuiteContext } from './suite.ts';

const SUITE = fileURLToPath(new URL('../eval/suites/conversion.yaml', import.meta.url));
/** Beyond it every residual of SmolLM2 is whole: the smaller side of its largest matrix. */
const FULL_RANK = 576;
const SEQUENCES = 16;
const PROMPT = 16;
const GENERATED = 16;
const REPEATS = 3;

/** One way and what it came to. */
export interface Conversion {
  readonly way: ConversionWay;
  readonly perplexity: number;
  /** Where the perplexity lies with 95 % confidence. */
  readonly low: number;
  readonly high: number;
  /** Share of rows whose most likely token is the original's. */
  readonly agreement: number;
  /** KL of the way from the original, nats per token. */
  readonly kl: number;
  /** Of all files of the bundle, f32. */
  readonly bytes: number;
  /** Decoding speed, times the original's in the same seconds. */
  readonly speed: number;
}

/** What looping SmolLM2-135M costs before any training: quality, size and speed of every way to do it. */
export const conversion: Suite = {
  name: 'conversion',
  summary: 'quality, size and speed of every way to loop a checkpoint without training',
  page: 'RESULTS.md',
  async run(context) {
    const suite = await openSuite(SUITE);
    const original = await benchBundle(context, { precision: 'f32' });
    const ways = context.quick ? QUICK_WAYS : allWays(FULL_RANK);
    const protocol = await prepareProtocol(suite, original);
    const open = (bundle: Bundle) =>
      Sequences.open(bundle, {
        threads: context.threads,
        pages: pagesOf(bundle.manifest, protocol, suite.settings),
      });
    const reference = await open(original);
    const loop = await openLoop(context, original);
    const made = [await converterDigest(), suite.digest];
    const found: Conversion[] = [];
    try {
      const judge = { context, reference, original: loop, open, protocol, settings: suite.settings };
      for (const [at, way] of ways.entries()) {
        context.signal.throwIfAborted();
        context.progress(`${at + 1} of ${ways.length}: ${wayName(way)}`);
        found.push(await remembered(context, made, way, () => judged(judge, way)));
      }
    } finally {
      await loop.close();
      await reference.close();
    }
    return {
      rows: found.map(rowOf),
      goals: conversionGoals(found),
      plots: [rankPlot, qualityPlot],
      notes: [
        `SmolLM2-135M-Instruct in f32, ${suite.settings.windows.max} windows of ${suite.settings.windows.positions} tokens of English prose (suite ${suite.settings.name} version ${suite.settings.version}), nothing trained. Layers are repeated as they are (\`--loop-layers\`), or tied into 1/loops as many (\`--init\`, Bae et al. 2024, eq. 2) and relaxed by factors from the SVD of what each depth lost (eq. 5; \`--lora-rank\`). Intervals of perplexity are bootstraps over the windows.`,
        `Agreement is the share of positions whose most likely next token is the original's, KL that of the way from the original. Speed is decoding of ${SEQUENCES} sequences of ${PROMPT + GENERATED} positions through all passes on a bare engine, times what the original does in turn with it, median of ${REPEATS}. A way that was judged before by the same converter and suite is not judged again: what is found lies in the cache.`,
      ],
    };
  },
};

/** A long sweep that was stopped goes on where it was. */
async function remembered(
  { cache, seed, threads }: SuiteContext,
  /** Digests of what made the bundle and of what asked it. */
  made: readonly string[],
  way: ConversionWay,
  find: () => Promise<Conversion>,
): Promise<Conversion> {
  const key = createHash('sha256')
    .update(JSON.stringify([made, seed, threads, way]))
    .digest('hex');
  const path = join(cache, 'bench', 'conversion', `${key}.json`);
  const earlier = await readFile(path, 'utf8').catch(() => undefined);
  if (earlier !== undefined) return JSON.parse(earlier) as Conversion;
  const found = await find();
  await mkdir(join(path, '..'), { recursive: true });
  await writeFile(path, JSON.stringify(found));
  return found;
}

/** What a way is judged by, open for all of them. */
interface Judge {
  readonly context: SuiteContext;
  /** The original, for its text and for its speed. */
  readonly reference: Sequences;
  readonly original: EngineLoop;
  readonly protocol: Protocol;
  readonly settings: EvalSuite['settings'];
  readonly open: (bundle: Bundle) => Promise<Sequences>;
}

async function judged(
  { context, reference, original, protocol, settings, open }: Judge,
  way: ConversionWay,
): Promise<Conversion> {
  // Sweeps that run side by side do not share it.
  const directory = await mkdtemp(join(context.cache, 'bench', 'conversion-'));
  try {
    const bundle =
      way.kind === 'original' ? reference.bundle : await convertAs(context, way, join(directory, 'bundle'));
    const model = await open(bundle);
    const full = [bundle.manifest.maxDepth];
    const windows: WindowScore[] = [];
    try {
      for (const window of protocol.windows) {
        context.signal.throwIfAborted();
        windows.push(...(await depthScores({ a: reference, b: model }, window, full)));
      }
    } finally {
      await model.close();
    }
    const scores = { windows, greedy: [], questions: [] };
    const { value, low, high } = bootstrap(
      scores.windows.length,
      (drawn) => metricOf('perplexity').of(scores, drawn),
      { ...settings.bootstrap, seed: context.seed },
    );
    return {
      way,
      perplexity: value,
      low,
      high,
      agreement: metricValue('agreement', scores),
      kl: metricValue('kl', scores),
      bytes: bundleBytes(bundle.manifest),
      speed: await decodeSpeed(context, bundle, original),
    };
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

async function convertAs(
  context: SuiteContext,
  { kind, loops, loopLayers, damping, kept, norms, rank }: ConversionWay,
  out: string,
): Promise<Bundle> {
  const checkpoint = await openCheckpoint(await benchCheckpoint(context));
  try {
    await convert({
      checkpoint,
      out,
      precision: 'f32',
      loops,
      ...(kind === 'repeat' || kind === 'original'
        ? { loopLayers, damping }
        : { init: kind, keepFirst: kept, keepLast: kept, initNorms: norms }),
      ...(rank > 0 && { lora: { rank } }),
    });
  } finally {
    await checkpoint.close();
  }
  return openBundle(out);
}

/** Tokens a second of all sequences together, times those of the original, with which the bundle takes turns. */
async function decodeSpeed(context: SuiteContext, bundle: Bundle, original: EngineLoop): Promise<number> {
  const { seed } = context;
  const { vocab } = bundle.manifest.shape;
  const prompts = Array.from({ length: SEQUENCES }, (_, sequence) =>
    Array.from({ length: PROMPT }, (_, at) => (at * 7 + sequence * 13 + seed) % vocab),
  );
  const loop = await openLoop(context, bundle);
  try {
    const ratios: number[] = [];
    for (let repeat = 0; repeat < REPEATS; repeat++) {
      const before = await original.decode(prompts, GENERATED);
      const { decodeMs } = await loop.decode(prompts, GENERATED);
      ratios.push(before.decodeMs / decodeMs);
    }
    return median(ratios);
  } finally {
    await loop.close();
  }
}

function openLoop({ threads }: SuiteContext, bundle: Bundle): Promise<EngineLoop> {
  const { shape, layers, maxDepth } = bundle.manifest;
  const perPosition = kvBytesPerPosition(shape, layers.prelude + maxDepth * layers.block + layers.coda);
  return EngineLoop.open(bundle, { threads, kvBytes: SEQUENCES * (PROMPT + GENERATED) * perPosition });
}

const rowOf = ({ way, perplexity, low, high, agreement, kl, bytes, speed }: Conversion): Row => ({
  way: wayName(way),
  kind: way.kind,
  loops: way.loops,
  rank: way.rank,
  perplexity,
  low,
  high,
  'agreement %': 100 * agreement,
  'KL, nats': kl,
  MB: bytes / 1e6,
  'speed, times original': speed,
});

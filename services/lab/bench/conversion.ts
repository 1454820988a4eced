import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type EvalSuite, openSuite } from '../eval/suite.ts';
import { converterDigest, decomposerDigest } from './bench-bundle.ts';
import { conversionGoals, qualityPlot, rankPlot } from './conversion-findings.ts';
import { type Conversion, ConversionJudge, type SpeedMemory } from './conversion-judge.ts';
import { POSITIONS, REPEATS, SEQUENCES, shapeOf } from './conversion-speed.ts';
import { allWays, type ConversionWay, judgingOrder, QUICK_WAYS, wayName } from './conversion-ways.ts';
import { remembered } from './remembered.ts';
import type { Row, Suite, SuiteContext } from './suite.ts';

const SUITE = fileURLToPath(new URL('../eval/suites/conversion.yaml', import.meta.url));
/** Beyond it every residual of SmolLM2 is whole: the smaller side of its largest matrix. */
const FULL_RANK = 576;

/** What looping SmolLM2-135M costs before any training: quality, size and speed of every way to do it. */
export const conversion: Suite = {
  name: 'conversion',
  summary: 'quality, size and speed of every way to loop a checkpoint without training',
  page: 'RESULTS.md',
  async run(context) {
    const suite = await openSuite(SUITE);
    const { name, version, windows } = suite.settings;
    const ways = context.quick ? QUICK_WAYS : allWays(FULL_RANK);
    const found = await judgeAll(context, suite, ways);
    const rows = ways.map((way) => found.get(way)!);
    return {
      rows: rows.map(rowOf),
      goals: conversionGoals(rows, FULL_RANK),
      plots: [rankPlot, qualityPlot],
      notes: [
        `SmolLM2-135M-Instruct in f32 unless a row says otherwise, ${windows.max * windows.stride} tokens of English prose in ${windows.max} windows, each given up to ${windows.positions - windows.stride} tokens before its own (suite ${name} version ${version}), nothing trained. Layers are repeated as they are (\`--loop-layers\`), or tied into 1/loops as many (\`--init\`, Bae et al. 2024, eq. 2) and relaxed by factors from the SVD of what each depth lost (eq. 5; \`--lora-rank\`); at rank ${FULL_RANK} nothing is lost. Intervals of perplexity are bootstraps over the windows.`,
        `Agreement is the share of positions whose most likely next token is the original's, KL that of the way from the original, logits apart the largest difference of any of the ${windows.max * windows.stride * 49_152} logits from the original's. Speed is decoding of ${SEQUENCES} sequences of ${POSITIONS} positions through all passes on a bare engine, times what the original does in turn with it, median of ${REPEATS}; ways of one shape have one speed. A way that was judged before by the same converter and suite is not judged again: what is found lies in the cache.`,
      ],
    };
  },
};

/** What every way came to; those that were judged before, by the same converter and suite, are remembered. */
async function judgeAll(
  context: SuiteContext,
  suite: EvalSuite,
  ways: readonly ConversionWay[],
): Promise<Map<ConversionWay, Conversion>> {
  const { cache, seed, threads, signal, progress } = context;
  const memory = join(cache, 'bench', 'conversion');
  const made = [await converterDigest(), suite.digest, seed, threads];
  const speeds: SpeedMemory = (bundle, find) => remembered(memory, [...made, 'speed', shapeOf(bundle)], find);
  const nests = join(cache, 'bench', 'nests', (await decomposerDigest()).slice(0, 16));
  const found = new Map<ConversionWay, Conversion>();
  let judge: ConversionJudge | undefined;
  try {
    for (const [at, way] of judgingOrder(ways, FULL_RANK).entries()) {
      signal.throwIfAborted();
      progress(`${at + 1} of ${ways.length}: ${wayName(way)}`);
      const find = async () => {
        judge ??= await ConversionJudge.open(context, suite, speeds, nests, ways);
        return judge.judge(way);
      };
      found.set(way, await remembered(memory, [...made, 'way', way], find));
    }
  } finally {
    await judge?.close();
  }
  // Only once every way is judged: a way without a finite figure, which is not remembered, makes again what it needs.
  await rm(join(cache, 'bench', 'nests'), { recursive: true, force: true });
  return found;
}

const rowOf = ({ way, perplexity, low, high, agreement, kl, apart, bytes, speed }: Conversion): Row => ({
  way: wayName(way),
  kind: way.kind,
  loops: way.loops,
  rank: way.rank,
  perplexity,
  low,
  high,
  'agreement %': 100 * agreement,
  'KL, nats': kl,
  'logits apart': apart,
  MB: bytes / 1e6,
  'speed, times original': speed,
});

import { mkdir, mkdtemp, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { openBundle } from '@rondo/bundle';
import { convert, openCheckpoint, type PreparedWeights, prepareWeights } from '@rondo/converter';
import { bundlePerplexity, type LoopCandidate, loopCandidates } from '@rondo/lab';
import { Command } from 'commander';
import { CACHE } from './cache.ts';
import { countOption, countsOption } from './options.ts';
import { progressBar } from './progress.ts';

const DEFAULT_TEXT = new URL('../lab/texts/default.txt', import.meta.url);

interface ScanFlags {
  readonly text?: string;
  readonly tokens: number;
  readonly widths: number[];
  readonly stride: number;
  readonly loops: number[];
  readonly threads: number;
  readonly json: boolean;
}

/** `rondo scan`: which layers of a checkpoint can be looped, how often and how gently, at what cost in perplexity. */
export const scanCommand = (): Command =>
  new Command('scan')
    .description('measure the perplexity of every way to loop a checkpoint, best first')
    .argument('<checkpoint>', 'a checkpoint directory or .gguf file')
    .option('--text <file>', 'text to score (default: two public-domain excerpts)')
    .option('--tokens <n>', 'tokens of the text to score', countOption('--tokens'), 1024)
    .option('--widths <list>', 'widths of the block in layers', countsOption('--widths'), [2, 4, 8])
    .option('--stride <n>', 'layers between neighbouring candidates', countOption('--stride'), 2)
    .option('--loops <list>', 'numbers of passes', countsOption('--loops'), [2, 4])
    .option('--threads <n>', 'threads of the engine', countOption('--threads'), 2)
    .option('--json', 'print JSON instead of a table', false)
    .addHelpText(
      'after',
      `
Each candidate repeats layers a…b R times, plainly (damping 1) or in damped sub-steps (damping 1/R).
The checkpoint itself comes first, as the bound.

Example:
  rondo scan .cache/checkpoints/smollm2-135m-instruct --widths 2,4 --loops 2,3,4`,
    )
    .action(scan);

async function scan(path: string, flags: ScanFlags): Promise<void> {
  const checkpoint = await openCheckpoint(path);
  await mkdir(CACHE, { recursive: true });
  const directory = await mkdtemp(join(CACHE, 'scan-'));
  try {
    const text = await readFile(flags.text ?? DEFAULT_TEXT, 'utf8');
    const prepared = await prepareWeights(checkpoint, 'f32', directory);
    const candidates = loopCandidates({ ...flags, layers: checkpoint.model.layers });
    const progress = progressBar('scanning', candidates.length + 1);
    const measure = async (candidate?: LoopCandidate) => {
      const perplexity = await bundlePerplexity(await candidateBundle(candidate), {
        ...flags,
        text,
        window: 512,
      });
      progress.advance();
      return perplexity;
    };
    const candidateBundle = (candidate?: LoopCandidate) =>
      writeCandidate({ checkpoint, prepared, out: join(directory, 'bundle') }, candidate);
    const base = await measure();
    const rows = [];
    for (const candidate of candidates) rows.push({ ...candidate, perplexity: await measure(candidate) });
    progress.stop();
    rows.sort((a, b) => a.perplexity - b.perplexity);
    process.stdout.write(flags.json ? `${JSON.stringify({ base, rows }, null, 2)}\n` : table(base, rows));
  } finally {
    await rm(directory, { recursive: true, force: true });
    await checkpoint.close();
  }
}

interface Workspace {
  readonly checkpoint: Awaited<ReturnType<typeof openCheckpoint>>;
  readonly prepared: PreparedWeights;
  readonly out: string;
}

async function writeCandidate(workspace: Workspace, candidate?: LoopCandidate) {
  await convert({
    ...workspace,
    precision: 'f32',
    ...(candidate && { loopLayers: candidate, loops: candidate.loops, damping: candidate.damping }),
  });
  return openBundle(workspace.out);
}

function table(base: number, rows: readonly (LoopCandidate & { perplexity: number })[]): string {
  const line = (layers: string, loops: string, damping: string, perplexity: number) =>
    `${layers.padEnd(8)} ${loops.padStart(5)} ${damping.padStart(8)} ${perplexity.toFixed(3).padStart(11)} ${(perplexity / base).toFixed(3).padStart(7)}\n`;
  return [
    'layers   loops  damping  perplexity   ratio\n',
    line('-', '1', '-', base),
    ...rows.map((row) =>
      line(`${row.first}-${row.last}`, `${row.loops}`, row.damping.toFixed(3), row.perplexity),
    ),
  ].join('');
}

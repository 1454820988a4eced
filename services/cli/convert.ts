import { bundleBytes, type Manifest } from '@rondo/bundle';
import {
  type AdapterMatrix,
  type AdapterTarget,
  type Checkpoint,
  convert as convertCheckpoint,
  FACTORS,
  INIT_NORMS,
  type InitNorms,
  LOOP_INITS,
  LORA_TARGETS,
  type LoopInit,
  openCheckpoint,
  type SizeReport,
} from '@rondo/converter';
import { RondoError } from '@rondo/core';
import { Command, Option } from 'commander';
import { conversionTable } from './conversion-table.ts';
import { choicesOption, countFromZeroOption, countOption, fractionOption, layersOption } from './options.ts';
import { progressBar } from './progress.ts';

interface ConvertFlags {
  readonly out: string;
  readonly loops?: number;
  readonly loopLayers?: { first: number; last: number };
  readonly loopDamping?: number;
  readonly init?: LoopInit;
  readonly initNorms?: InitNorms;
  readonly initSeed?: number;
  readonly keepFirst?: number;
  readonly keepLast?: number;
  readonly norms?: 'shared' | 'per-depth';
  readonly loraRank?: number;
  readonly loraEnergy?: number;
  readonly loraTargets?: AdapterTarget[];
  readonly loraPrecision?: 'f32' | 'int8';
  readonly precision: Manifest['precision'];
  readonly name?: string;
  readonly kvPolicy?: Manifest['kvPolicy'];
  readonly exitPolicy?: Manifest['exit']['policy'];
  readonly exitThreshold?: number;
  readonly minDepth: number;
}

/** `rondo convert`: a checkpoint becomes a bundle, looped as asked. */
export const convertCommand = (): Command =>
  new Command('convert')
    .description('write a checkpoint as a bundle, the form in which Rondo serves it')
    .argument('<checkpoint>', 'a Hugging Face directory (safetensors) or a .gguf file')
    .requiredOption('--out <bundle>', 'directory to write; an older bundle there is replaced')
    .option('--loops <n>', 'how often the block is applied (default: as trained)', countOption('--loops'))
    .option(
      '--loop-layers <a-b>',
      'layers to repeat, 0-based and inclusive: those before run once, those after run once',
      layersOption('--loop-layers'),
    )
    .option(
      '--loop-damping <x>',
      'h + x * (block(h) - h) per pass; 1 repeats plainly, 1/loops takes damped sub-steps',
      fractionOption('--loop-damping', 1),
    )
    .addOption(
      new Option(
        '--init <kind>',
        'tie the layers of the loop into 1/loops as many, which begin as this',
      ).choices(LOOP_INITS),
    )
    .option(
      '--keep-first <n>',
      'with --init: first layers that stay as they are, before the loop',
      countFromZeroOption('--keep-first'),
    )
    .option('--keep-last <n>', 'with --init: last layers, after the loop', countFromZeroOption('--keep-last'))
    .addOption(
      new Option(
        '--init-norms <kind>',
        'with --init average: norm weights are averaged, those of the first tied layer, or none (default: average)',
      ).choices(INIT_NORMS),
    )
    .option(
      '--init-seed <n>',
      'with --init random: what the weights are drawn from (default: 0)',
      countFromZeroOption('--init-seed'),
    )
    .addOption(
      new Option(
        '--norms <kind>',
        'with --init: norms and biases of the shared layers, or of the layer each depth stands for (default: per-depth with --lora-…, else shared)',
      ).choices(['shared', 'per-depth']),
    )
    .option(
      '--lora-rank <n>',
      'with --init: factors of this rank for every linear and depth, from the SVD of what the layer lost',
      countOption('--lora-rank'),
    )
    .option(
      '--lora-energy <x>',
      "ranks chosen for each matrix to keep this share of the residual's energy; --lora-rank is then the most",
      fractionOption('--lora-energy', 1),
    )
    .option(
      '--lora-targets <list>',
      `which linears have factors (default: ${LORA_TARGETS.join(',')})`,
      choicesOption('--lora-targets', LORA_TARGETS),
    )
    .addOption(
      new Option(
        '--lora-precision <kind>',
        'how factors are stored (default: int8 with --precision int8 or int4, else f32)',
      ).choices(['f32', 'int8']),
    )
    .addOption(
      new Option('--precision <kind>', 'how weights are stored')
        .choices(['f32', 'int8', 'int4'])
        .default('f32'),
    )
    .addOption(
      new Option(
        '--kv-policy <kind>',
        'what deeper passes see of a token that left the loop early (default: last-exited, or as exported)',
      ).choices(['last-exited', 'propagate', 'catch-up']),
    )
    .addOption(
      new Option('--exit-policy <kind>', 'when tokens leave the loop early (default: as trained)').choices([
        'none',
        'gate',
        'latent-diff',
        'confidence',
      ]),
    )
    .option(
      '--exit-threshold <x>',
      'what the exit signal is held against',
      fractionOption('--exit-threshold', 1),
    )
    .option('--min-depth <n>', 'passes that every token runs at least', countOption('--min-depth'), 1)
    .option('--name <name>', "the model's name in the API (default: the checkpoint's)")
    .addHelpText(
      'after',
      `
Reads the Llama family, Qwen2, Qwen3, Gemma and Ouro. Ouro is looped already; any other can be looped without
training by repeating some of its middle layers: rondo scan finds out which.

With --init the model becomes smaller instead (Relaxed Recursive Transformers, Bae et al. 2024): layers k, k + K, k + 2K …
share the weights of one, and a block of K = layers / loops is applied so often that the depth stays. The shared weights
are some of the layers at equal intervals (stepwise), the mean of those that share (average), the first K (lower) or
noise (random). Without training the result is a start, not a model.

--lora-rank and --lora-energy relax the tie: each depth gets low-rank factors of its own, the best that a rank can give
back of what its layer lost. At full rank the model is the original again; average is the better base for them.

Examples:
  rondo convert .cache/checkpoints/smollm2-135m-instruct --out bundles/plain --loops 1
  rondo convert ouro --out bundles/ouro --exit-policy gate --exit-threshold 0.7 --min-depth 2 --kv-policy catch-up
  rondo convert model.gguf --out bundles/looped --loop-layers 4-7 --loops 2 --loop-damping 0.5 --precision int8
  rondo convert model.gguf --out bundles/half --loops 2 --init average --keep-first 1 --keep-last 1
  rondo convert model.gguf --out bundles/relaxed --loops 2 --init average --lora-rank 64 --precision int8`,
    )
    .action(convert);

async function convert(path: string, flags: ConvertFlags): Promise<void> {
  const checkpoint = await openCheckpoint(path);
  try {
    const { manifest, sizes, matrices } = await write(checkpoint, flags);
    const table = manifest.tied && sizes ? `${conversionTable(sizes, matrices)}\n\n` : '';
    process.stdout.write(`${table}${summary(manifest, flags.out)}\n`);
  } finally {
    await checkpoint.close();
  }
}

interface Written {
  readonly manifest: Manifest;
  readonly sizes?: SizeReport | undefined;
  readonly matrices: readonly AdapterMatrix[];
}

async function write(checkpoint: Checkpoint, flags: ConvertFlags): Promise<Written> {
  const { loopDamping, exitPolicy, exitThreshold, minDepth, ...rest } = flags;
  if (exitPolicy && exitPolicy !== 'none' && exitThreshold === undefined) {
    throw new RondoError('CONFIG_INVALID', `--exit-policy ${exitPolicy} needs --exit-threshold`);
  }
  if (exitPolicy === undefined && (exitThreshold !== undefined || minDepth > 1)) {
    throw new RondoError(
      'CONFIG_INVALID',
      '--exit-threshold and --min-depth: only with --exit-policy, which they are of',
    );
  }
  const exit = exitPolicy && { policy: exitPolicy, threshold: exitThreshold ?? 1, minDepth };
  const progress = progressBar('converting', 0);
  let interrupted = false;
  const interrupt = () => {
    interrupted = true;
  };
  process.once('SIGINT', interrupt).once('SIGTERM', interrupt);
  let sizes: SizeReport | undefined;
  let matrices: readonly AdapterMatrix[] = [];
  try {
    const manifest = await convertCheckpoint({
      checkpoint,
      ...rest,
      exit,
      damping: loopDamping,
      lora: loraOptions(flags),
      onSize: (report) => {
        sizes = report;
      },
      onAdapters: (written) => {
        matrices = written;
      },
      onProgress(done, total, what) {
        // An error is what makes the converter clear away the half that is written.
        if (interrupted)
          throw new RondoError('CANCELLED', `convert to ${flags.out} stopped; nothing was left`);
        progress.update(done, total, what === FACTORS ? 'decomposing' : 'converting');
      },
    });
    return { manifest, sizes, matrices };
  } finally {
    progress.stop();
    process.off('SIGINT', interrupt).off('SIGTERM', interrupt);
  }
}

function loraOptions({ loraRank, loraEnergy, loraTargets, loraPrecision }: ConvertFlags) {
  if (loraRank !== undefined || loraEnergy !== undefined) {
    return { rank: loraRank, energy: loraEnergy, targets: loraTargets, precision: loraPrecision };
  }
  if (loraTargets === undefined && loraPrecision === undefined) return undefined;
  const idle = loraTargets ? `--lora-targets ${loraTargets.join(',')}` : `--lora-precision ${loraPrecision}`;
  throw new RondoError('CONFIG_INVALID', `${idle}: needs --lora-rank or --lora-energy`);
}

function summary({ name, layers, maxDepth, precision, tied, files }: Manifest, out: string): string {
  const around =
    layers.prelude + layers.coda > 0 ? `, ${layers.prelude} layers before it and ${layers.coda} after` : '';
  const loop =
    maxDepth > 1
      ? `a block of ${layers.block}${tied ? ' tied' : ''} layers applied ${maxDepth} times${around}`
      : `${layers.block} layers, not looped`;
  const megabytes = bundleBytes({ files }) / 1e6;
  return `${out}: ${name}, ${loop}; ${precision}, ${megabytes.toFixed(0)} MB\nserve it: rondo run --model ${out}`;
}

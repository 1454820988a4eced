import type { Manifest } from '@rondo/bundle';
import {
  type Checkpoint,
  convert as convertCheckpoint,
  INIT_NORMS,
  type InitNorms,
  LOOP_INITS,
  type LoopInit,
  openCheckpoint,
} from '@rondo/converter';
import { RondoError } from '@rondo/core';
import { Command, Option } from 'commander';
import { countFromZeroOption, countOption, fractionOption, layersOption } from './options.ts';
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
  readonly precision: Manifest['precision'];
  readonly name?: string;
  readonly kvPolicy: Manifest['kvPolicy'];
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
        'with --init: norms and biases of the shared layers, or of the layer each depth stands for (default: shared)',
      ).choices(['shared', 'per-depth']),
    )
    .addOption(
      new Option('--precision <kind>', 'how weights are stored')
        .choices(['f32', 'int8', 'int4'])
        .default('f32'),
    )
    .addOption(
      new Option('--kv-policy <kind>', 'what deeper passes see of a token that left the loop early')
        .choices(['last-exited', 'propagate', 'catch-up'])
        .default('last-exited'),
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

Examples:
  rondo convert .cache/checkpoints/smollm2-135m-instruct --out bundles/plain --loops 1
  rondo convert ouro --out bundles/ouro --exit-policy gate --exit-threshold 0.7 --min-depth 2 --kv-policy catch-up
  rondo convert model.gguf --out bundles/looped --loop-layers 4-7 --loops 2 --loop-damping 0.5 --precision int8
  rondo convert model.gguf --out bundles/half --loops 2 --init average --keep-first 1 --keep-last 1`,
    )
    .action(convert);

async function convert(path: string, flags: ConvertFlags): Promise<void> {
  const checkpoint = await openCheckpoint(path);
  try {
    const manifest = await write(checkpoint, flags);
    process.stdout.write(`${summary(manifest, flags.out)}\n`);
  } finally {
    await checkpoint.close();
  }
}

async function write(checkpoint: Checkpoint, flags: ConvertFlags): Promise<Manifest> {
  const { loopDamping, exitPolicy, exitThreshold, minDepth, ...rest } = flags;
  if (exitPolicy && exitPolicy !== 'none' && exitThreshold === undefined) {
    throw new RondoError('CONFIG_INVALID', `--exit-policy ${exitPolicy} needs --exit-threshold`);
  }
  const exit = exitPolicy && { policy: exitPolicy, threshold: exitThreshold ?? 1, minDepth };
  const progress = progressBar('converting', 0);
  let interrupted = false;
  const interrupt = () => {
    interrupted = true;
  };
  process.once('SIGINT', interrupt).once('SIGTERM', interrupt);
  try {
    return await convertCheckpoint({
      checkpoint,
      ...rest,
      exit,
      damping: loopDamping,
      onProgress(done, total) {
        // An error is what makes the converter clear away the half that is written.
        if (interrupted)
          throw new RondoError('CANCELLED', `convert to ${flags.out} stopped; nothing was left`);
        progress.update(done, total);
      },
    });
  } finally {
    progress.stop();
    process.off('SIGINT', interrupt).off('SIGTERM', interrupt);
  }
}

function summary({ name, layers, maxDepth, precision, files }: Manifest, out: string): string {
  const loop =
    maxDepth > 1
      ? `${layers.prelude} layers, then a block of ${layers.block} applied ${maxDepth} times, then ${layers.coda}`
      : `${layers.block} layers, not looped`;
  const megabytes = files.reduce((sum, file) => sum + file.bytes, 0) / 1e6;
  return `${out}: ${name}, ${loop}; ${precision}, ${megabytes.toFixed(0)} MB\nserve it: rondo run --model ${out}`;
}

import { openBundle } from '@rondo/bundle';
import { exportBundle } from '@rondo/converter';
import { RondoError } from '@rondo/core';
import { Command } from 'commander';
import { progressBar } from './progress.ts';

interface ExportFlags {
  readonly out: string;
}

/** `rondo export`: a bundle becomes a directory that PyTorch users load, train further and convert again. */
export const exportCommand = (): Command =>
  new Command('export')
    .description('write a bundle as a Hugging Face directory, to be trained further or used elsewhere')
    .argument('<bundle>', 'a directory that rondo convert wrote')
    .option('--safetensors', 'as safetensors, the only form there is so far', true)
    .requiredOption('--out <directory>', 'directory to write; an older export there is replaced')
    .addHelpText(
      'after',
      `
Writes config.json, tokenizer files and model.safetensors (f32) with every layer once: those before the loop, the block,
those behind it. Low-rank factors of pass d become a peft adapter in adapters/depth_d, norms and biases of its own lie
beside it, and rondo.json says how the layers are looped. A bundle in int8 or int4 is multiplied out, which is lossy.

rondo convert makes a bundle of the directory again: the same one, if nothing was trained and it was f32.

Examples:
  rondo export bundles/relaxed --safetensors --out exported
  rondo convert exported --out bundles/uptrained --name uptrained`,
    )
    .action(write);

async function write(path: string, { out }: ExportFlags): Promise<void> {
  const bundle = await openBundle(path);
  const progress = progressBar('exporting', 0);
  let interrupted = false;
  const interrupt = () => {
    interrupted = true;
  };
  process.once('SIGINT', interrupt).once('SIGTERM', interrupt);
  try {
    const { lossy, tensors } = await exportBundle({
      bundle,
      out,
      onProgress(done, total) {
        // An error is what makes the exporter clear away the half that is written.
        if (interrupted) throw new RondoError('CANCELLED', `export to ${out} stopped; nothing was left`);
        progress.update(done, total);
      },
    });
    progress.stop();
    if (lossy) {
      process.stderr.write(
        `rondo: ${path} holds quantised weights, which were multiplied out: what is in ${out} is not what they were quantised from\n`,
      );
    }
    process.stdout.write(`${out}: ${bundle.manifest.name}, ${tensors} tensors\n`);
  } finally {
    progress.stop();
    process.off('SIGINT', interrupt).off('SIGTERM', interrupt);
  }
}
